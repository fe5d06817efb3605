import assert from "node:assert/strict";
import { parseL2vnis } from "./l2vni_state.ts";

const zebra = {
  "50400": {
    vni: 50400,
    type: "L2",
    vxlanIf: "l2vx-50400",
    numMacs: 3,
    numArpNd: 2,
    numRemoteVteps: 2,
    tenantVrf: "vrf-400",
    remoteVteps: ["192.168.124.12", "192.168.124.13"],
  },
  "50501": {
    vni: 50501,
    type: "L3",
    vxlanIf: "l3vx-50501",
    numMacs: 0,
    numArpNd: 0,
    numRemoteVteps: "n/a",
    tenantVrf: "vrf-500",
  },
};
const bgp = { advertiseAllVnis: "Enabled", numVnis: 2, numL2Vnis: 1, numL3Vnis: 1 };
const announced = { "50400": { vni: 50400, type: "L2", inKernel: "True", rd: "192.168.124.11:2" } };

Deno.test("an answer that is no JSON or has another form tells of no L2VNI", () => {
  for (const text of ["", "{", "[]", "null", '{"1":{"vni":1}}', "% BGP instance not found"]) {
    assert.deepEqual(parseL2vnis(text, text), []);
  }
  assert.deepEqual(parseL2vnis(), []);
});

Deno.test("an L2VNI is up once bgpd announces it, and an L3VNI is none", () => {
  const [vni, ...more] = parseL2vnis(
    JSON.stringify(zebra),
    JSON.stringify({ ...bgp, ...announced }),
  );
  assert.deepEqual(vni, {
    vrf: "vrf-400",
    vni: 50400,
    type: "l2vni",
    state: "Up",
    remoteVteps: 2,
    neighbors: 2,
    vxlan: "l2vx-50400",
  });
  assert.deepEqual(more, []);
});

Deno.test("an L2VNI that zebra lists but bgpd does not announce is down", () => {
  const gone = { "50400": { ...announced["50400"], inKernel: "False" } };
  for (const told of [bgp, { ...bgp, ...gone }]) {
    assert.equal(parseL2vnis(JSON.stringify(zebra), JSON.stringify(told))[0]?.state, "Down");
  }
});
