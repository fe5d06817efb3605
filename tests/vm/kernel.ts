/** The guest's kernel: Debian's cloud kernel, downloaded and unpacked into the cache, never installed. */
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { fillOnce, isDirectory } from "./cache_directory.ts";
import { GuestError } from "./guest_error.ts";
import { runTool } from "./host_process.ts";
import { extractVmlinux } from "./vmlinux.ts";

/** Depends on the current kernel package of the release. */
const META_PACKAGE = "linux-image-cloud-amd64";

/** A kernel that is ready to boot. */
export interface GuestKernel {
  /** Its directory in the cache; named after the package and its version. */
  readonly directory: string;
  /** What QEMU boots: an ELF vmlinux where it could be extracted, else the bzImage. */
  readonly image: string;
  /** Its release, as `uname -r` says it. */
  readonly release: string;
  /** The directory that holds `lib/modules`. */
  readonly root: string;
}

/** How the kernel may be had. */
export interface KernelOptions {
  /** Where it is kept. */
  readonly cacheDirectory: string;
  /** Whether it may be downloaded. */
  readonly install: boolean;
  /** Ends a download. */
  readonly signal?: AbortSignal;
  /** Receives one line of progress at a time. */
  readonly report?: (line: string) => void;
}

/** The newest kernel in the cache, if there is one. */
export async function cachedKernel(cacheDirectory: string): Promise<GuestKernel | undefined> {
  const parent = join(cacheDirectory, "kernel");
  if (!await isDirectory(parent)) return undefined;
  const names: string[] = [];
  for await (const entry of Deno.readDir(parent)) {
    if (entry.isDirectory && !entry.name.endsWith(".partial")) names.push(entry.name);
  }
  const newest = names.sort(new Intl.Collator("en", { numeric: true }).compare).at(-1);
  return newest === undefined ? undefined : await describe(join(parent, newest));
}

/**
 * A kernel from the cache, or else downloaded into it. With one in the cache, no apt call is made; to renew it,
 * remove the directory `kernel` from the cache.
 *
 * @throws {GuestError} `GuestUnavailable` if there is none and it may not be downloaded; `GuestKernelFailed` if
 * downloading or unpacking fails
 */
export async function ensureKernel(options: KernelOptions): Promise<GuestKernel> {
  const cached = await cachedKernel(options.cacheDirectory);
  if (cached !== undefined) return cached;
  if (!options.install) {
    throw new GuestError(
      "GuestUnavailable",
      `Expected a guest kernel in "${options.cacheDirectory}", found none; allow the download of the package ` +
        `that "${META_PACKAGE}" depends on`,
    );
  }
  try {
    return await download(options);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new GuestError(
      "GuestKernelFailed",
      `Could not get a guest kernel through apt: ${messageOf(cause)}`,
      { cause },
    );
  }
}

async function download(options: KernelOptions): Promise<GuestKernel> {
  const parent = join(options.cacheDirectory, "kernel");
  const scratch = join(parent, `${crypto.randomUUID()}.partial`);
  await Deno.mkdir(scratch, { recursive: true });
  try {
    const deb = await downloadPackage(scratch, options);
    const directory = join(parent, deb.slice(0, -".deb".length));
    await fillOnce(directory, (temporary) => unpack(join(scratch, deb), temporary, options));
    return await describe(directory);
  } finally {
    await Deno.remove(scratch, { recursive: true });
  }
}

/** Downloads the kernel package into `directory`; returns the file's name. */
async function downloadPackage(directory: string, options: KernelOptions): Promise<string> {
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const attempt = async () => {
    const depends = await runTool(["apt-cache", "depends", META_PACKAGE], signal);
    const name = /^\s*Depends: (linux-image-\S+)$/m.exec(depends)?.[1];
    if (name === undefined) throw new Error(`No candidate for package "${META_PACKAGE}"`);
    options.report?.(`Downloading the guest's kernel, package ${name} (about 27 MB)`);
    await runTool(["apt-get", "-o", "APT::Sandbox::User=root", "download", name], {
      cwd: directory,
      ...signal,
    });
  };
  try {
    await attempt();
  } catch {
    // Lists that are absent or outdated are the usual reason.
    options.signal?.throwIfAborted();
    options.report?.("Updating the package lists (apt-get update)");
    await runTool(["apt-get", "-o", "DPkg::Lock::Timeout=300", "update", "-q"], signal);
    await attempt();
  }
  for await (const entry of Deno.readDir(directory)) {
    if (entry.name.endsWith(".deb")) return entry.name;
  }
  throw new Error(`apt-get download left no package in "${directory}"`);
}

async function unpack(deb: string, directory: string, options: KernelOptions): Promise<void> {
  options.report?.("Unpacking the guest's kernel");
  const signal = options.signal === undefined ? {} : { signal: options.signal };
  const root = join(directory, "root");
  await runTool(["dpkg", "-x", deb, root], signal);
  // Later releases of Debian have the modules below usr.
  if (!await isDirectory(join(root, "lib"))) await Deno.symlink("usr/lib", join(root, "lib"));
  const release = await releaseOf(root);
  await runTool(["depmod", "-b", root, release], signal);
  const bzImage = join(root, "boot", `vmlinuz-${release}`);
  const vmlinux = extractVmlinux(await Deno.readFile(bzImage));
  if (vmlinux === undefined) {
    await Deno.copyFile(bzImage, join(directory, "bzImage"));
  } else {
    await Deno.writeFile(join(directory, "vmlinux"), vmlinux);
  }
  await Deno.remove(join(root, "boot"), { recursive: true });
}

async function describe(directory: string): Promise<GuestKernel> {
  const root = join(directory, "root");
  const names: string[] = [];
  for await (const entry of Deno.readDir(directory)) names.push(entry.name);
  const image = names.find((name) => name === "vmlinux") ?? "bzImage";
  return { directory, image: join(directory, image), release: await releaseOf(root), root };
}

async function releaseOf(root: string): Promise<string> {
  for await (const entry of Deno.readDir(join(root, "lib", "modules"))) return entry.name;
  throw new Error(`No kernel modules in "${root}"`);
}
