/** What the tests look at in a cluster: pods in the API, their attachments on the node, and who answers whom. */
import assert from "node:assert/strict";
import {
  allocations,
  type AttachmentRow,
  attachmentRows,
  podNamespaces,
  podVeths,
} from "../../containerd/attachments.ts";
import { kubectl } from "../../lab/machines.ts";
import { until } from "../../lab/process.ts";
import type { Cluster } from "./cluster.ts";
import { podsOf, type PodState } from "./workload.ts";

/** Seconds for what takes fractions of one to ten. */
export const patience = 180;

/** Looks at a cluster. */
export interface Observer {
  /** Runs kubectl as administrator. @throws {CommandError} */
  api(args: readonly string[], stdin?: string): Promise<string>;
  /** Waits until the Deployment of a namespace has that many pods, all ready and none ending, and gives them. */
  untilReady(namespace: string, count: number): Promise<readonly PodState[]>;
  /** The pods of all namespaces that are looked at. */
  everyPod(): Promise<readonly PodState[]>;
  /** What the daemon knows of a pod. */
  rowOf(pod: PodState): AttachmentRow;
  /** Waits until journal, kernel, runtime and API know of these pods and of no others. */
  untilOnly(pods: readonly PodState[]): Promise<void>;
  /** Asserts that pods are the same as before, in the same containers at the same addresses; others may have joined them. */
  assertUntouched(before: readonly PodState[]): Promise<void>;
  /** Runs a command in a pod by way of API and kubelet. @throws {CommandError} */
  inPod(pod: PodState, command: readonly string[]): Promise<string>;
  /** What a pod gets from an HTTP server; an empty text when nobody answers. */
  get(from: PodState, address: string, port: number): Promise<string>;
}

/**
 * Makes an observer.
 *
 * @param cluster Where to look; it may start later
 * @param namespaces Whose pods are looked at
 */
export function createObserver(
  cluster: () => Cluster,
  namespaces: readonly string[],
): Observer {
  const api = (args: readonly string[], stdin?: string) => kubectl(cluster().lab, args, stdin);
  const inPod = (pod: PodState, command: readonly string[]) =>
    api(["-n", pod.namespace, "exec", pod.name, "--", ...command]);
  const everyPod = async () =>
    (await Promise.all(namespaces.map((namespace) => podsOf(cluster().lab, namespace)))).flat();
  return {
    api,
    inPod,
    everyPod,
    untilReady: (namespace, count) =>
      until(`${count} ready pods in "${namespace}"`, patience, async () => {
        const pods = await podsOf(cluster().lab, namespace);
        const settled = pods.every(({ ready, ending }) => ready && !ending);
        return pods.length === count && settled ? pods : undefined;
      }),
    rowOf(pod) {
      const rows = attachmentRows(cluster().lab, cluster().node);
      const row = rows.find((row) => row.pod === pod.name && row.namespace === pod.namespace);
      assert.ok(row, `The journal has no row of "${pod.name}"`);
      return row;
    },
    async untilOnly(pods) {
      const addresses = pods.map(({ address }) => address).toSorted();
      await until(`"${addresses.join(" ")}" and no other to be attached`, patience, async () => {
        await assertOnly(cluster(), addresses);
        return true;
      });
    },
    async assertUntouched(before) {
      const told = ({ uid, address, container, restarts }: PodState) =>
        [uid, address, container, restarts].join(" ");
      const now = new Set((await everyPod()).map(told));
      assert.deepEqual(before.map(told).filter((pod) => !now.has(pod)), []);
    },
    async get(from, address, port) {
      // Not wget, which ends with a signal in Debian's static busybox.
      const ask = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | /bin/nc -w 3 ${address} ${port} || true`;
      const answer = await inPod(from, ["/bin/sh", "-c", ask]);
      return answer.split("\r\n\r\n")[1]?.trim() ?? "";
    },
  };
}

async function assertOnly({ lab, node }: Cluster, addresses: readonly string[]): Promise<void> {
  const rows = attachmentRows(lab, node);
  assert.deepEqual(rows.map(({ address }) => address).toSorted(), addresses);
  const veths = rows.map((row) => row.host_ifname).toSorted();
  assert.deepEqual((await podVeths(node)).toSorted(), veths);
  assert.equal((await podNamespaces(node)).length, addresses.length);
  assert.deepEqual(Object.keys(await allocations(lab, node)).toSorted(), addresses);
}
