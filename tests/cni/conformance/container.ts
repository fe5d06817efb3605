/** Containers as a plugin sees them: a network namespace with a path, and what the kernel has in it. */
import { z } from "zod";
import { randomBytes } from "node:crypto";
import type { Holder } from "../../lab/holder.ts";

const addressesSchema = z.array(z.looseObject({
  ifname: z.string().optional(),
  address: z.string().optional(),
  mtu: z.number().optional(),
  flags: z.array(z.string()).default([]),
  addr_info: z.array(z.looseObject({
    local: z.string().optional(),
    prefixlen: z.number().optional(),
    scope: z.string().optional(),
  })).default([]),
}));

const routesSchema = z.array(z.looseObject({
  dst: z.string(),
  gateway: z.string().optional(),
  dev: z.string().optional(),
}));

/** An interface as the kernel has it. */
export interface KernelInterface {
  /** Name. */
  readonly name: string;
  /** Link-layer address. */
  readonly mac: string;
  /** Whether it is up. */
  readonly up: boolean;
  /** Addresses in CIDR form, those of scope link left out. */
  readonly addresses: readonly string[];
}

/** A route as the kernel has it; `default` for the whole address space. */
export interface KernelRoute {
  /** Destination as `ip` writes it. */
  readonly dst: string;
  /** Next hop. */
  readonly gw: string | undefined;
  /** Output interface. */
  readonly dev: string | undefined;
}

/** A container without processes. */
export interface Container extends AsyncDisposable {
  /** CNI_CONTAINERID. */
  readonly id: string;
  /** CNI_NETNS. */
  readonly netns: string;
  /** Interfaces in it. */
  interfaces(): Promise<readonly KernelInterface[]>;
  /** IPv4 and IPv6 routes of its main table. */
  routes(): Promise<readonly KernelRoute[]>;
  /** Runs a command in its namespace. */
  run(command: readonly string[]): Promise<string>;
  /** Ends it, as a runtime may before DEL. */
  end(): Promise<void>;
}

/** Folder of the containers' namespaces on the machine. */
const directory = "/run/conformance";

/** Starts a container on a machine. */
export async function startContainer(machine: Holder): Promise<Container> {
  const id = `cnit-${randomBytes(12).toString("hex")}`;
  const netns = `${directory}/${id}`;
  await machine.run([
    "sh",
    "-ec",
    `mkdir -p ${directory}; touch ${netns}; unshare --net=${netns} ip link set lo up`,
  ]);
  let ended = false;
  const run = (command: readonly string[]) =>
    machine.run(["nsenter", `--net=${netns}`, ...command]);
  const end = async () => {
    if (ended) return;
    ended = true;
    await machine.run(["sh", "-ec", `umount ${netns}; rm ${netns}`]);
  };
  return {
    id,
    netns,
    run,
    end,
    async interfaces() {
      return addressesSchema.parse(JSON.parse(await run(["ip", "-json", "address"]))).flatMap(
        (link) =>
          link.ifname === undefined ? [] : [{
            name: link.ifname,
            mac: link.address ?? "",
            up: link.flags.includes("UP"),
            addresses: link.addr_info.filter(({ scope }) => scope !== "link")
              .map(({ local, prefixlen }) => `${local}/${prefixlen}`),
          }],
      );
    },
    async routes() {
      const texts = await Promise.all(
        ["-4", "-6"].map((family) => run(["ip", family, "-json", "route"])),
      );
      return texts.flatMap((text) => routesSchema.parse(JSON.parse(text || "[]")))
        .map(({ dst, gateway, dev }) => ({ dst, gw: gateway, dev }));
    },
    [Symbol.asyncDispose]: end,
  };
}
