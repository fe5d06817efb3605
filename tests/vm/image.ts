/** Everything that booting a guest takes, ready in the cache. */
import { CodedError } from "../../lib/errors.ts";
import { ensurePrerequisites, locate, vmNeeds } from "../prerequisites.ts";
import { type AcceleratorChoice, chooseAccelerator } from "./accelerator.ts";
import { defaultCacheDirectory } from "./cache_directory.ts";
import { GuestError } from "./guest_error.ts";
import { ensureInitramfs } from "./initramfs.ts";
import { ensureKernel, type GuestKernel } from "./kernel.ts";

/** How a guest's parts may be had. */
export interface ImageOptions {
  /** Where downloads and images are kept; by default {@linkcode defaultCacheDirectory}. */
  readonly cacheDirectory?: string;
  /** Whether missing packages may be installed and the kernel downloaded; true by default. */
  readonly install?: boolean;
  /** Ends the preparation. */
  readonly signal?: AbortSignal;
  /** Receives one line of progress at a time. */
  readonly report?: (line: string) => void;
}

/** Everything that booting a guest takes. */
export interface GuestImage {
  /** The kernel. */
  readonly kernel: GuestKernel;
  /** The initramfs' path. */
  readonly initramfs: string;
  /** The virtiofsd executable. */
  readonly virtiofsd: string;
  /** What executes the guest's instructions, and why. */
  readonly accelerator: AcceleratorChoice;
}

/** Whether this machine can have a guest. */
export type VmProbe =
  | {
    /** It can. */
    readonly available: true;
    /** What is booted. */
    readonly image: GuestImage;
  }
  | {
    /** It cannot. */
    readonly available: false;
    /** Why not, and what would help. */
    readonly reason: string;
  };

/**
 * Makes everything ready that booting a guest takes; at once if it was ready before.
 *
 * @throws {PrerequisitesMissingError} if packages are missing
 * @throws {GuestError} if this machine cannot have a guest, or preparing one failed
 */
export async function ensureGuestImage(options: ImageOptions = {}): Promise<GuestImage> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    throw new GuestError(
      "GuestUnavailable",
      `Guests need Linux on x86_64, found "${Deno.build.os}" on "${Deno.build.arch}"`,
    );
  }
  const install = options.install ?? true;
  await ensurePrerequisites(vmNeeds, { ...options, install });
  const cacheDirectory = options.cacheDirectory ?? defaultCacheDirectory();
  const kernel = await ensureKernel({ ...options, install, cacheDirectory });
  const initramfs = await ensureInitramfs(kernel, options.signal);
  const virtiofsd = await virtiofsdPath();
  const accelerator = await chooseAccelerator({ kernel, initramfs, virtiofsd }, options);
  return { kernel, initramfs, virtiofsd, accelerator };
}

/**
 * Whether this machine can have a guest, and how: prepares one as {@linkcode ensureGuestImage} does, but does not boot
 * it.
 */
export async function vmProbe(options: ImageOptions = {}): Promise<VmProbe> {
  try {
    return { available: true, image: await ensureGuestImage(options) };
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof CodedError) return { available: false, reason: error.message };
    throw error;
  }
}

async function virtiofsdPath(): Promise<string> {
  for (const need of vmNeeds) {
    if (!need.lookFor.some((path) => path.endsWith("/virtiofsd"))) continue;
    const path = await locate(need);
    if (path !== undefined) return path;
  }
  throw new GuestError("GuestUnavailable", `Expected virtiofsd on this machine, found none`);
}
