/** What the cases of a lab have at hand, whatever API is in it: each leaves the lab as it found it. */
import assert from "node:assert/strict";
import { measureMatrix } from "./demo_lab.ts";
import type { Lab, RunningNode } from "./lab.ts";
import { kubectl } from "./machines.ts";
import { mismatches } from "./matrix.ts";
import { until } from "./process.ts";
import type { LabPod, PlacedPod } from "./topology.ts";

/** A lab with tenants and pods, and what may be done to its API. */
export interface LabWorld {
  /** The lab. */
  readonly lab: Lab;
  /** Folder with the built executables. */
  readonly dist: string;
  /** Pods that run. */
  readonly pods: readonly PlacedPod[];
  /** Kills the API server; its objects stay. */
  killApi(): Promise<void>;
  /** Starts it again at the same address. */
  startApi(): Promise<void>;
}

/** A sentence about behaviour, and how to see that it holds. */
export interface LabCase {
  /** The sentence. */
  readonly name: string;
  /** Throws when it does not hold. */
  readonly run: (world: LabWorld) => Promise<void>;
}

/** Seconds for what an outage delays: caches come back after at most 15, and a busy machine is slow. */
export const patience = 180;

/** The API group of the project's own kinds. */
export const apiVersion = "cni.pyroute2.org/v1alpha1";

/** A node of the lab, counted from 0. */
export function nodeAt({ lab }: LabWorld, index: number): RunningNode {
  const node = lab.nodes[index];
  assert.ok(node);
  return node;
}

/** Creates or changes objects, as `kubectl apply` does. */
export function apply({ lab }: LabWorld, ...items: readonly Manifest[]): Promise<string> {
  const list = { apiVersion: "v1", kind: "List", items };
  return kubectl(lab, ["apply", "-f", "-"], JSON.stringify(list));
}

/** Removes objects, named as `kind/name`; those that are not there are no error. */
export function remove({ lab }: LabWorld, ...objects: readonly string[]): Promise<string> {
  return kubectl(lab, ["delete", "--ignore-not-found", `--timeout=${patience}s`, ...objects]);
}

/** Removes the objects of pods, which no kubelet would give back. */
export async function forgetPods({ lab }: LabWorld, pods: readonly LabPod[]): Promise<void> {
  for (const [namespace, of] of Map.groupBy(pods, ({ namespace }) => namespace)) {
    const names = of.map(({ name }) => `pod/${name}`);
    const now = ["--grace-period=0", "--force", "--ignore-not-found"];
    await kubectl(lab, ["delete", ...now, "--namespace", namespace, ...names]);
  }
}

/** An object as it is applied. */
export type Manifest = Readonly<Record<string, unknown>>;

/** A tenant's VRFDomain. */
export function domain(name: string, vrf: number, spec: Manifest = {}): Manifest {
  return {
    apiVersion,
    kind: "VRFDomain",
    metadata: { name },
    spec: {
      vrf,
      table: 2000 + vrf,
      prefix: "10.160.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: 50000 + vrf }],
      ...spec,
    },
  };
}

/** A namespace and its binding to a domain. */
export function bound(namespace: string, domain: string): Manifest[] {
  return [
    { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } },
    {
      apiVersion,
      kind: "VRFDomainBinding",
      metadata: { name: namespace },
      spec: { namespaceRef: { name: namespace }, vrfDomainRef: { name: domain } },
    },
  ];
}

/** A value of an object, by JSONPath; empty where there is none. */
export function valueOf({ lab }: LabWorld, object: string, path: string): Promise<string> {
  return kubectl(lab, ["get", object, "-o", `jsonpath=${path}`]);
}

/** Status and reason of an object's condition, with a blank between. */
export function conditionOf(world: LabWorld, object: string, type: string): Promise<string> {
  return valueOf(world, object, `{.status.conditions[?(@.type=="${type}")]['status','reason']}`);
}

/** Waits until an object's condition has a status and reason. */
export function untilCondition(
  world: LabWorld,
  object: string,
  type: string,
  wanted: string,
): Promise<true> {
  return until(`${type} of "${object}" to be "${wanted}"`, patience, async () => {
    return await conditionOf(world, object, type) === wanted ? true : undefined;
  });
}

/** Sees that everybody reaches whom they should, and nobody else. */
export async function assertMatrix({ lab, pods }: LabWorld): Promise<void> {
  assert.deepEqual(mismatches(await measureMatrix(lab, pods)), []);
}

/** Waits until everybody reaches whom they should. */
export async function untilMatrixHolds({ lab, pods }: LabWorld): Promise<void> {
  await until(
    "the matrix",
    patience,
    async () => mismatches(await measureMatrix(lab, pods)).length === 0 ? true : undefined,
  );
}
