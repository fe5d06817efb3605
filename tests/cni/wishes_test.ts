/** Wishes through the plugin as its runtime executes it, the daemon's server and handlers, and the real pool. */
import assert from "node:assert/strict";
import { KubeError } from "../../daemon/kube/kube_error.ts";
import { getLink } from "../../lib/netlink/rtnl/link.ts";
import { Pod } from "./harness.ts";
import { addressOf, assertRefused, podObject, WishingNode } from "./wishing_node.ts";

Deno.test("A wish that cannot be met is an error that says why, and leaves nothing", async (t) => {
  await using self = await WishingNode.start();
  using holder = new Pod();
  self.announce({ ips: "10.150.0.9", mac: "02:00:00:00:00:09" });
  assert.equal(addressOf(await self.add(holder, "holder")), "10.150.0.9/26");
  const cases: [string, Record<string, string>, number, RegExp][] = [
    ["no address", { ips: "web" }, 7, /cni\.pyroute2\.org\/ips.*"web"/],
    ["a typing error", { ip: "10.150.0.7" }, 7, /"cni\.pyroute2\.org\/ip"/],
    ["outside the domain", { ips: "10.151.0.7" }, 7, /prefix "10\.150\.0\.0\/24"/],
    ["a family that the domain lacks", { ips: "10.150.0.7,fd00::7" }, 7, /found "fd00::7"/],
    ["the gateway", { ips: "10.150.0.1" }, 7, /the gateway/],
    ["another length", { ips: "10.150.0.7/16" }, 7, /"\/16"/],
    ["in use", { ips: "10.150.0.9" }, 106, /pod "shop\/web-0", the container "holder"/],
    ["another node's", { ips: "10.150.0.70" }, 106, /node "node-b"/],
    ["a group's MAC", { mac: "01:00:00:00:00:01" }, 7, /a group's/],
    ["a MAC in use", { mac: "02:00:00:00:00:09" }, 106, /the container "holder"/],
  ];
  for (const [name, annotations, code, message] of cases) {
    await t.step(name, async () => {
      using pod = new Pod();
      self.announce(annotations);
      assertRefused(await self.add(pod), code, message);
      assert.deepEqual(pod.interfaces(), ["lo"]);
      assert.deepEqual(self.pool.list().map((row) => row.containerId), ["holder"]);
      assert.equal(self.node.hostEnds().length, 1);
    });
  }
  await t.step("the MAC of the gateway", async () => {
    using pod = new Pod();
    const bridge = getLink(self.node.connection, { name: "l3br-200" });
    self.announce({ mac: bridge?.mac ?? "" });
    assertRefused(await self.add(pod), 106, /at the bridge "l3br-200"/);
    assert.deepEqual(self.pool.list().map((row) => row.containerId), ["holder"]);
  });
});

Deno.test("A pod gets the address and MAC of its annotations, and CHECK sees them", async () => {
  await using self = await WishingNode.start();
  using pod = new Pod();
  self.announce({ ips: '["10.150.0.7"]', mac: "02:00:00:00:00:07" });
  const added = await self.add(pod);
  assert.equal(addressOf(added), "10.150.0.7/26");
  assert.equal(getLink(pod.connection, { name: "eth0" })?.mac, "02:00:00:00:00:07");
  const checked = await self.call("CHECK", pod, "c1", {
    config: { prevResult: added.answer },
  });
  assert.deepEqual(checked, { code: 0, answer: undefined, stderr: "" });
  assert.equal((await self.del(pod)).code, 0);
  assert.equal(addressOf(await self.add(pod)), "10.150.0.7/26");
});

Deno.test("A pod that the node knows starts while the API is away, an unknown one waits for it", async () => {
  await using self = await WishingNode.start();
  self.stored = new KubeError("Unavailable", "The API server is down");
  using pod = new Pod();
  assertRefused(await self.add(pod), 11, /"shop\/web-0".*The API server is down/);
  assert.deepEqual(self.pool.list(), []);
  self.announce({ ips: "10.150.0.7" });
  self.blocks.fault = () => "down";
  assert.equal(addressOf(await self.add(pod)), "10.150.0.7/26");
});

Deno.test("A pod that the node has not seen is asked for at the API", async () => {
  await using self = await WishingNode.start();
  self.stored = podObject({ ips: "10.150.0.7" });
  using pod = new Pod();
  assert.equal(addressOf(await self.add(pod)), "10.150.0.7/26");
});

Deno.test("Wishes come by capabilities, args and CNI_ARGS too, as runtimes and Multus pass them", async () => {
  await using self = await WishingNode.start();
  const mac = "02:00:00:00:00:07";
  const annotations = { "cni.pyroute2.org/ips": "10.150.0.7", "cni.pyroute2.org/mac": mac };
  const configs = [
    { runtimeConfig: { ips: ["10.150.0.7/26"], mac } },
    { args: { cni: { ips: ["10.150.0.7"], mac } } },
    { runtimeConfig: { "io.kubernetes.cri.pod-annotations": annotations } },
  ];
  for (const config of configs) {
    using pod = new Pod();
    assert.equal(addressOf(await self.add(pod, "c1", { config })), "10.150.0.7/26");
    assert.equal(getLink(pod.connection, { name: "eth0" })?.mac, mac);
    assert.equal((await self.del(pod, "c1", { config })).code, 0);
  }
  using pod = new Pod();
  const run = await self.add(pod, "c1", { args: `IP=10.150.0.7;MAC=${mac}` });
  assert.equal(addressOf(run), "10.150.0.7/26");
});

Deno.test("DEL works whatever the configuration wishes for", async () => {
  await using self = await WishingNode.start();
  using pod = new Pod();
  assert.equal((await self.add(pod)).code, 0);
  const config = { domain: 7, runtimeConfig: { ips: "x", mac: [] } };
  assertRefused(await self.add(pod, "c2", { config }), 7, /wishes/);
  assert.equal((await self.del(pod, "c1", { config })).code, 0);
  assert.deepEqual(self.pool.list(), []);
});
