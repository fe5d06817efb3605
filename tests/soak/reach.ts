/** Who must and must not reach whom, on a sample: over TCP, so that who answers is known. What is asked is pure; then it is. */
import type { Lab, RunningNode } from "../lab/lab.ts";
import { startResponder } from "../lab/machines.ts";
import { askOn } from "../lab/questions.ts";
import { executeRaw, until } from "../lab/process.ts";
import { answerPort, outsideName, underlay } from "../lab/topology.ts";
import type { Random } from "./random.ts";
import { type AttachedPod, isIpv6, type World } from "./world.ts";

/** A question. */
export interface ReachQuestion {
  /** Name of the node that it is asked on. */
  readonly node: string;
  /** Namespace that it is asked from; the node's own when null. */
  readonly netns: string | null;
  /** Who asks, in words. */
  readonly from: string;
  readonly address: string;
  /** Who must answer: a name, or null for nobody. */
  readonly expected: string | null;
}

/**
 * Draws questions: from pods to pods of their tenant and of others, from pods to the host outside, from nodes to their own pods.
 *
 * @param count How many of each kind
 */
export function drawQuestions(
  { pods }: Pick<World, "pods">,
  random: Random,
  count: number,
): readonly ReachQuestion[] {
  if (pods.length === 0) return [];
  return Array.from({ length: count }).flatMap((): ReachQuestion[] => {
    const from = random.pick(pods);
    const to = random.pick(pods);
    return [
      ...to.addresses.map(({ address }) => fromPod(from, address, answering(pods, from, address))),
      fromPod(from, underlay.outside, from.domain.egress === "none" ? null : outsideName),
      ...from.addresses.map(({ address }) => ({
        node: from.node,
        netns: null,
        from: from.node,
        address,
        expected: from.name,
      })),
    ];
  });
}

/** Of two tenants with the same addresses each reaches its own pod; nobody answers to an IP version that the asker has not. */
function answering(
  pods: readonly AttachedPod[],
  from: AttachedPod,
  address: string,
): string | null {
  if (!from.addresses.some((own) => isIpv6(own.address) === isIpv6(address))) return null;
  const to = pods.find(({ domain, addresses }) =>
    domain.vrf === from.domain.vrf && addresses.some((each) => each.address === address)
  );
  return to?.name ?? null;
}

function fromPod(from: AttachedPod, address: string, expected: string | null): ReachQuestion {
  const { node, netns, name, domain } = from;
  return { node, netns, from: `${name} of ${domain.name}`, address, expected };
}

/**
 * Asks, and says where somebody else answered than must, in words.
 *
 * @param pods All that are attached: each answers while this lasts
 */
export async function wrongAnswers(
  lab: Lab,
  pods: readonly AttachedPod[],
  questions: readonly ReachQuestion[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  try {
    await Promise.all(lab.nodes.map((node) => {
      const mine = pods.filter((pod) => pod.node === node.name);
      const answers = mine.map(({ netns, name }) => ({ path: netns, name }));
      return startResponder(lab, node.holder, answers, signal);
    }));
    const wrong = await Promise.all(lab.nodes.map(async ({ name }) => {
      const mine = questions.filter(({ node }) => node === name);
      const asked = mine.map(({ netns, address }) => ({ netns, address, port: answerPort }));
      const found = await askOn(lab, name, asked);
      return mine.flatMap(({ from, address, expected }, index) => {
        const observed = found[index]?.name ?? null;
        const text = `${from} to ${address}: ${observed ?? "nobody"} answers instead of ` +
          (expected ?? "nobody");
        return observed === expected ? [] : [text];
      });
    }));
    return wrong.flat();
  } finally {
    await Promise.all(lab.nodes.map(endResponder));
  }
}

/** A responder holds the pods' namespaces: none of them could go. */
async function endResponder(node: RunningNode): Promise<void> {
  const words = ["-f", "[ ]run -A .*responder.ts"];
  await executeRaw(node.holder.inside(["pkill", "-KILL", ...words]));
  await until("the responder to end", 60, async () => {
    return (await executeRaw(node.holder.inside(["pgrep", ...words]))).code === 0
      ? undefined
      : true;
  });
}
