import assert from "node:assert/strict";
import { ownerOf } from "./address_owner.ts";
import type { Attachment } from "./ipam/port.ts";
import { podMac } from "./kernel/names.ts";
import type { IPBlock } from "./resources/ip_block.ts";

const [ours, theirs, gateway, free] = ["10.160.0.2", "10.160.0.18", "10.160.0.17", "10.160.9.9"];
const mac = "02:00:00:00:00:01";

const attachment: Attachment = {
  network: "net",
  containerId: "c1",
  ifname: "eth0",
  namespace: "",
  pod: "",
  podUid: "",
  domain: "tenant",
  vrf: 400,
  allocations: [{ address: ours, prefixLength: 16, gateway: "10.160.0.1", block: "10.160.0.0/28" }],
  state: "attached",
  hostIfname: "veth1",
  mac,
  netnsPath: "/run/netns/x",
  createdAt: 0,
};
const block: IPBlock = {
  metadata: { name: "vrf-400-10-160-0-16-28" },
  spec: { cidr: "10.160.0.16/28", nodeName: "node2", vrfTable: 400 },
  status: { allocated: 2, capacity: 14, allocations: { [gateway]: "gateway", [theirs]: "uid" } },
};
const known = { attachments: [attachment], blocks: [block] };

Deno.test("another's address and a gateway's are never announced, nor one's own with another MAC", () => {
  for (const address of [theirs, gateway]) {
    assert.equal(ownerOf(400, { address, mac }, known), "other");
  }
  assert.equal(ownerOf(400, { address: ours, mac: "02:00:00:00:00:02" }, known), "other");
});

Deno.test("a pod announces its own address, before its ADD is over too", () => {
  assert.equal(ownerOf(400, { address: ours, mac }, known), "own");
  const reserved = { ...attachment, state: "reserved" as const, mac: "" };
  const expected = { address: ours, mac: podMac(400, ours) };
  assert.equal(ownerOf(400, expected, { ...known, attachments: [reserved] }), "own");
});

Deno.test("an address that IPAM gave to nobody in the VRF is anybody's", () => {
  assert.equal(ownerOf(400, { address: free, mac }, known), "nobody");
  assert.equal(ownerOf(500, { address: ours, mac }, known), "nobody");
  assert.equal(ownerOf(500, { address: theirs, mac }, known), "nobody");
});
