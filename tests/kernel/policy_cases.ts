/** Cases: each selector of a VRFRoutingPolicy leads what it matches into the VRF's table, and nothing once the policy is gone. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import type { PlanPolicy } from "../../daemon/reconcile/plan_input.ts";
import { ask, type Question } from "../lab/tcp_question.ts";
import { answerAs, answerPort as port } from "./answers.ts";
import { Segment } from "./segment.ts";
import { tableOf, TrafficNode } from "./traffic_node.ts";

/** An address that two hosts have: the default route leads to one of them, the VRF's table to the other. */
const target = "172.32.0.1";
const ownAddress = "192.0.2.7";

/** Registers the cases for a backend. */
export function registerPolicyCases(backend: VrfBackend): void {
  Deno.test(`${backend}: each selector of a routing policy takes effect, and ends with the policy`, async () => {
    await using segment = await Segment.create(1);
    using node = new TrafficNode(segment, backend);
    const wishes = [
      { vrf: 200, blocks: ["10.150.0.0"] },
      { vrf: 300, blocks: ["10.150.0.64"] },
    ];
    const carry = (...match: PlanPolicy["match"]) =>
      node.carry(wishes, { policies: [{ name: "a", domain: "vrf-200", match }] });
    await carry();
    const inTable = await segment.outsideHost("in-table", "192.168.124.253");
    for (const host of [segment.outside, inTable]) {
      await host.ip(
        `address add ${target}/32 dev lo`,
        `route add ${ownAddress}/32 via ${node.address}`,
      );
    }
    await node.host.ip(
      `address add ${ownAddress}/32 dev lo`,
      `route add ${target}/32 via 192.168.124.253 dev eth0 table ${tableOf(200)}`,
    );
    const other = await node.pod(segment, "other", 300, "10.150.0.66");
    await using _default = answerAs("default", segment.outside);
    await using _table = answerAs("table", inTable);
    const from = (netns: string, from?: Question["from"]): Question => ({
      netns,
      address: target,
      port,
      ...from === undefined ? {} : { from },
    });
    const questions = [
      from(node.host.path),
      from(node.host.path, { address: ownAddress }),
      from(node.host.path, { link: "eth0" }),
      from(other.path),
    ];
    const look = async () => (await ask(questions)).map((answer) => answer?.name);
    const none = ["default", "default", "default", "default"];
    assert.deepEqual(await look(), none);
    await carry({ dst: `${target}/32` });
    assert.deepEqual(await look(), ["table", "table", "table", "table"]);
    await carry({ src: `${ownAddress}/32` });
    assert.deepEqual(await look(), ["default", "table", "default", "default"]);
    await carry({ oifname: "eth0" });
    assert.deepEqual(await look(), ["default", "default", "table", "default"]);
    // By which interface a VRF's packets come depends on the backend, and with VRF links on the kernel's release.
    const entrances = backend === "netns" ? ["pr2h-300"] : ["l3br-300", "vrf-300"];
    await carry(...entrances.map((iifname) => ({ iifname })));
    assert.deepEqual(await look(), ["default", "default", "default", "table"]);
    await carry({ iifname: "lo", dst: "172.32.0.0/24", src: ownAddress + "/32" });
    assert.deepEqual(await look(), ["default", "table", "default", "default"]);
    await carry();
    assert.deepEqual(await look(), none);
  });
}
