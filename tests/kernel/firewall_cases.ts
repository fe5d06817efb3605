/** Cases: the firewall is replaced while packets flow. */
import assert from "node:assert/strict";
import type { VrfBackend } from "../../daemon/kernel/port.ts";
import { ask } from "../lab/tcp_question.ts";
import { answerAs, answerPort as port } from "./answers.ts";
import { type Namespace, Segment, succeed } from "./segment.ts";
import { TrafficNode } from "./traffic_node.ts";

/** Registers the cases for a backend. */
export function registerFirewallCases(backend: VrfBackend): void {
  Deno.test(`${backend}: connections go on and new ones begin while the firewall is replaced, with no packet lost`, async () => {
    await using segment = await Segment.create(1);
    using node = new TrafficNode(segment, backend);
    const wish = { vrf: 200, blocks: ["10.150.0.0"] };
    const more = { vrf: 300, blocks: ["10.150.0.64"] };
    await node.carry([wish]);
    const pod = await node.pod(segment, "pod", 200, "10.150.0.2");
    // An answer that is only late is no lost one: what is sent again has waited for a whole timeout.
    for (const place of [pod, segment.outside]) {
      await succeed(place.command("sysctl", "-qw", "net.ipv4.tcp_early_retrans=0"));
    }
    await using _outside = answerAs("outside", segment.outside);
    const question = { netns: pod.path, address: Segment.outsideAddress, port };
    const expected = { name: "outside", seen: node.address };
    assert.deepEqual(await ask([question]), [expected]);
    let asked = 0;
    let isOver = false;
    const replace = async () => {
      for (let times = 0; !isOver && (times < 10 || asked < 80); times++) {
        await node.carry(times % 2 === 0 ? [wish, more] : [wish]);
      }
    };
    const askMeanwhile = async () => {
      while (!isOver) {
        const answers = await ask(Array(8).fill(question));
        assert.deepEqual(answers, Array(8).fill(expected));
        asked += answers.length;
      }
    };
    const ending = (work: Promise<void>) => work.finally(() => isOver = true);
    // Neither may go on when the namespaces are gone, whatever becomes of the other.
    for (const ended of await Promise.allSettled([askMeanwhile(), replace()].map(ending))) {
      if (ended.status === "rejected") throw ended.reason;
    }
    // Where every instruction is emulated a segment may be sent again before its answer is looked at: there the answers must do.
    if (Deno.env.get("PYROUTE2_LAB_EMULATED") === "1") return;
    assert.equal(await retransmissions(pod), 0);
    assert.equal(await retransmissions(segment.outside), 0);
  });
}

/** TCP segments that were sent again in a namespace: each is a packet that was lost. */
async function retransmissions(namespace: Namespace): Promise<number> {
  const text = await succeed(namespace.command("cat", "/proc/net/snmp"));
  const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("Tcp:"));
  const index = names.split(" ").indexOf("RetransSegs");
  return Number(values.split(" ")[index]);
}
