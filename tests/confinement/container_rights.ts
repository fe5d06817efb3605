/** What the DaemonSet's containers may do, for programs that run outside of containers. */
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { repository } from "../lab/options.ts";

/** A container of the DaemonSet. */
export type ContainerName = "pyroute2-cni" | "pyroute2-frr";

/** File names of the containers' profiles in `manifests/seccomp`. */
export const profileOf: Readonly<Record<ContainerName, string>> = {
  "pyroute2-cni": "daemon.json",
  "pyroute2-frr": "frr.json",
};

const daemonSetSchema = z.object({
  spec: z.object({
    template: z.object({
      spec: z.object({
        containers: z.array(z.object({
          name: z.string(),
          securityContext: z.object({
            allowPrivilegeEscalation: z.literal(false),
            capabilities: z.object({
              drop: z.tuple([z.literal("ALL")]),
              add: z.array(z.string()),
            }),
          }),
        })),
      }),
    }),
  }),
});

/** Bits of capabilities (include/uapi/linux/capability.h), as far as containers have them. */
const capabilityBits: Readonly<Record<string, bigint>> = {
  CHOWN: 1n << 0n,
  DAC_OVERRIDE: 1n << 1n,
  FOWNER: 1n << 3n,
  KILL: 1n << 5n,
  SETGID: 1n << 6n,
  SETUID: 1n << 7n,
  NET_BIND_SERVICE: 1n << 10n,
  NET_ADMIN: 1n << 12n,
  NET_RAW: 1n << 13n,
  SYS_ADMIN: 1n << 21n,
};

/** Capabilities as the kernel shows them in /proc. @throws {Error} For a name that no container has so far */
export function capabilityMask(names: readonly string[]): bigint {
  return names.reduce((mask, name) => {
    const bit = capabilityBits[name];
    if (bit === undefined) throw new Error(`The bit of capability "${name}" is not known here`);
    return mask | bit;
  }, 0n);
}

/** The capabilities of a container, as `manifests/base` names them. */
export function capabilitiesOf(container: ContainerName): readonly string[] {
  const text = Deno.readTextFileSync(`${repository}/manifests/base/daemonset.yaml`);
  const { spec } = daemonSetSchema.parse(parseAllDocuments(text)[0]?.toJS());
  const found = spec.template.spec.containers.find(({ name }) => name === container);
  if (found === undefined) throw new Error(`The DaemonSet has no container "${container}"`);
  return found.securityContext.capabilities.add;
}

/**
 * Words to put before a command, so that it and all that it starts have a container's capabilities and no other, can gain none, and
 * are under its seccomp profile. For root.
 */
export function confined(container: ContainerName): string[] {
  const kept = capabilitiesOf(container).map((name) => `,+${name.toLowerCase()}`).join("");
  const launcher = `${repository}/tests/confinement/enter_profile.ts`;
  return [
    ...["setpriv", "--no-new-privs", "--inh-caps=-all", `--bounding-set=-all${kept}`, "--"],
    ...[Deno.execPath(), "run", "-A", "--no-check", "--quiet", launcher, profileOf[container]],
  ];
}
