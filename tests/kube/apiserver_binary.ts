/**
 * Finds the executables of a real Kubernetes API: kube-apiserver where `KUBEBUILDER_ASSETS` says, in the cache, or built
 * once with Go; etcd beside it or on `PATH`.
 *
 * Run by itself it makes them ready and prints their paths.
 */
import { join } from "node:path";
import { messageOf } from "../../lib/errors.ts";
import { kubeNeeds, locate } from "../prerequisites.ts";
import {
  type BuildOptions,
  buildProgram,
  cachedProgram,
  isExecutable,
  type Program,
} from "./program_build.ts";

/** The executables of a real Kubernetes API. */
export interface KubeBinaries {
  /** kube-apiserver. */
  readonly apiServer: string;
  /** etcd. */
  readonly etcd: string;
}

/** Whether this machine can have a real Kubernetes API. */
export type KubeProbe =
  | {
    /** It can. */
    readonly available: true;
    /** What is run. */
    readonly binaries: KubeBinaries;
  }
  | {
    /** It cannot. */
    readonly available: false;
    /** Why not, and what would help. */
    readonly reason: string;
  };

/** How {@linkcode findKubeBinaries} may act. */
export interface FindOptions extends BuildOptions {
  /** Folder with `kube-apiserver` and perhaps `etcd`, as envtest has it: `KUBEBUILDER_ASSETS`. */
  readonly assets?: string | undefined;
  /** The Go command; found on `PATH` when absent. Null if there is to be no build. */
  readonly go?: string | null;
}

/**
 * Finds the executables, building kube-apiserver when it is not there and Go is. What cannot be had is told, never thrown,
 * but for an abort.
 *
 * @throws The signal's reason, if it has aborted
 */
export async function findKubeBinaries(options: FindOptions): Promise<KubeProbe> {
  const apiServer = await findProgram("kube-apiserver", options);
  if (!("path" in apiServer)) return { available: false, reason: apiServer.reason };
  const etcd = await findEtcd(options.assets);
  if (etcd === undefined) {
    return {
      available: false,
      reason: 'There is no etcd: install the package etcd-server, or put "etcd" beside ' +
        '"kube-apiserver" in the folder that KUBEBUILDER_ASSETS names',
    };
  }
  return { available: true, binaries: { apiServer: apiServer.path, etcd } };
}

/** A program's executable, or why there is none and what would help. */
export type FoundProgram = { readonly path: string } | { readonly reason: string };

/**
 * Finds one of Kubernetes' programs: in the folder of the assets, in the cache, or built with Go.
 *
 * @throws The signal's reason, if it has aborted
 */
export async function findProgram(program: Program, options: FindOptions): Promise<FoundProgram> {
  const { assets } = options;
  if (assets !== undefined && assets !== "") {
    const path = join(assets, program);
    if (await isExecutable(path)) return { path };
    options.report(`KUBEBUILDER_ASSETS is "${assets}", but "${path}" is no executable`);
  }
  const cached = await cachedProgram(program, options.cacheDirectory);
  if (await isExecutable(cached)) return { path: cached };
  const go = options.go === undefined ? await findGo() : options.go ?? undefined;
  if (go === undefined) {
    return {
      reason: `There is no ${program} in KUBEBUILDER_ASSETS or at "${cached}", and no Go to ` +
        "build it with: set KUBEBUILDER_ASSETS or install Go",
    };
  }
  try {
    return { path: await buildProgram(go, program, options) };
  } catch (error) {
    options.signal?.throwIfAborted();
    return { reason: `${program} could not be built: ${messageOf(error)}` };
  }
}

async function findGo(): Promise<string | undefined> {
  return await locate({ lookFor: ["go", "/usr/local/go/bin/go"], packages: ["golang"] });
}

async function findEtcd(assets: string | undefined): Promise<string | undefined> {
  if (assets !== undefined && assets !== "") {
    const path = join(assets, "etcd");
    if (await isExecutable(path)) return path;
  }
  const need = kubeNeeds.find(({ lookFor }) => lookFor.includes("etcd"));
  return need === undefined ? undefined : await locate(need);
}

if (import.meta.main) {
  const probe = await findKubeBinaries({
    assets: Deno.env.get("KUBEBUILDER_ASSETS"),
    report: (line) => console.error(line),
  });
  console.log(probe.available ? JSON.stringify(probe.binaries) : probe.reason);
  Deno.exit(probe.available ? 0 : 1);
}
