/** The guest's initramfs: busybox, the modules in the order they load, and the two stages of its start. */
import { basename, join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { GuestError } from "./guest_error.ts";
import { runTool } from "./host_process.ts";
import type { GuestKernel } from "./kernel.ts";

const BUSYBOX = "/bin/busybox";

/** What the guest has loaded before the command runs; anything else loads on demand. */
const MODULES = [
  "virtio_pci",
  "virtio_console",
  "virtiofs",
  "overlay",
  "vrf",
  "dummy",
  "bridge",
  "br_netfilter",
  "veth",
  "vxlan",
  "nf_tables",
  "nft_chain_nat",
  "nft_nat",
  "nft_masq",
  "nft_ct",
];

/** Parameters of modules that would make links of their own. */
const PARAMETERS: Readonly<Record<string, string>> = { dummy: "numdummies=0" };

/**
 * The initramfs for a kernel: from the cache if kernel, modules, busybox and stages are the same, else built.
 *
 * @returns Its path, beside the kernel
 * @throws {GuestError} `GuestImageFailed` if building it fails
 */
export async function ensureInitramfs(kernel: GuestKernel, signal?: AbortSignal): Promise<string> {
  try {
    const stages = {
      init: await Deno.readFile(new URL("init.sh", import.meta.url)),
      "session.sh": await Deno.readFile(new URL("session.sh", import.meta.url)),
    };
    const busybox = await Deno.readFile(BUSYBOX);
    const modules = new TextEncoder().encode(JSON.stringify([MODULES, PARAMETERS]));
    const name = `initramfs-${await digest([stages.init, stages["session.sh"], busybox, modules])}`;
    const path = join(kernel.directory, `${name}.cpio`);
    if (await Deno.stat(path).then(() => true, () => false)) return path;
    await build(kernel, { ...stages, "bin/busybox": busybox }, path, signal);
    return path;
  } catch (cause) {
    signal?.throwIfAborted();
    throw new GuestError(
      "GuestImageFailed",
      `Could not build the guest's initramfs: ${messageOf(cause)}`,
      { cause },
    );
  }
}

async function build(
  kernel: GuestKernel,
  files: Readonly<Record<string, Uint8Array>>,
  path: string,
  signal?: AbortSignal,
): Promise<void> {
  const tree = await Deno.makeTempDir({ dir: kernel.directory, prefix: "initramfs-" });
  const partial = `${tree}.partial`;
  try {
    for (const directory of ["bin", "dev", "proc", "sys", "modules"]) {
      await Deno.mkdir(join(tree, directory));
    }
    for (const [name, content] of Object.entries(files)) {
      await Deno.writeFile(join(tree, name), content, { mode: 0o755 });
    }
    await addModules(kernel, tree, signal);
    await runTool(["sh", "-c", 'find . | cpio --quiet -o -H newc -R 0:0 > "$0"', partial], {
      cwd: tree,
      ...(signal === undefined ? {} : { signal }),
    });
    await Deno.rename(partial, path);
  } finally {
    await Deno.remove(tree, { recursive: true });
    await Deno.remove(partial).catch(() => {});
  }
}

/** Copies the modules and what they depend on, and writes the order in which they load. */
async function addModules(kernel: GuestKernel, tree: string, signal?: AbortSignal): Promise<void> {
  const plan = await runTool(
    ["modprobe", "-S", kernel.release, "-d", kernel.root, "-a", "--show-depends", ...MODULES],
    signal === undefined ? {} : { signal },
  );
  const order: string[] = [];
  for (const path of new Set(moduleFiles(plan))) {
    const name = basename(path);
    await Deno.copyFile(path, join(tree, "modules", name));
    order.push(`${name} ${PARAMETERS[name.replace(/\.ko.*$/, "")] ?? ""}`.trim());
  }
  await Deno.writeTextFile(
    join(tree, "modules", "order"),
    order.map((name) => `${name}\n`).join(""),
  );
}

/** The files in the output of `modprobe --show-depends`, in its order; built-in modules have none. */
export function moduleFiles(plan: string): string[] {
  return [...plan.matchAll(/^insmod (\S+)/gm)].map((match) => match[1] ?? "").filter(Boolean);
}

async function digest(parts: readonly Uint8Array[]): Promise<string> {
  const whole = await new Blob(parts.map((part) => new Uint8Array(part))).arrayBuffer();
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", whole));
  return hash.toHex().slice(0, 16);
}
