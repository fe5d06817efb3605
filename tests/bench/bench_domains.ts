/** Domains by the number, for benches that want many of them. */
import type { Lab } from "../lab/lab.ts";
import { kubectl } from "../lab/machines.ts";

/** Most seconds until so many domains are ready. */
const patienceSeconds = 1_800;

/** Name of the domain with a number, and of the namespace that {@linkcode bindDomain} binds to it. */
export function domainName(index: number): string {
  return `bench-${index}`;
}

/** Makes the domains from one number up to another; resolves when all are ready on all nodes. */
export async function addDomains(lab: Lab, from: number, to: number): Promise<void> {
  const items = Array.from({ length: to - from }, (_, offset) => domainObject(from + offset));
  await create(lab, items);
  const names = items.map(({ metadata }) => `vrfdomain/${metadata.name}`);
  await kubectl(lab, [
    ...["wait", "--for=condition=Ready", `--timeout=${patienceSeconds}s`],
    ...names,
  ]);
}

/** Makes a domain without waiting for anything. */
export function createDomain(lab: Lab, index: number): Promise<void> {
  return create(lab, [domainObject(index)]);
}

/** Has the pods of a namespace go to a domain. */
export async function bindDomain(lab: Lab, index: number): Promise<void> {
  const name = domainName(index);
  await create(lab, [
    { apiVersion: "v1", kind: "Namespace", metadata: { name } },
    {
      apiVersion: "cni.pyroute2.org/v1alpha1",
      kind: "VRFDomainBinding",
      metadata: { name },
      spec: { namespaceRef: { name }, vrfDomainRef: { name } },
    },
  ]);
}

async function create(lab: Lab, items: readonly unknown[]): Promise<void> {
  const list = { apiVersion: "v1", kind: "List", items };
  await kubectl(lab, ["create", "-f", "-"], JSON.stringify(list));
}

function domainObject(index: number) {
  return {
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFDomain",
    metadata: { name: domainName(index) },
    spec: {
      vrf: 1000 + index,
      table: 3000 + index,
      prefix: `10.${100 + Math.floor(index / 16)}.${index % 16 * 16}.0`,
      prefixlen: 20,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: 60_000 + index }],
    },
  };
}
