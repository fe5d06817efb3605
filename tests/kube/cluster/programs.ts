/** Finds the executables of a whole cluster, building with Go what is not there. */
import {
  findKubeBinaries,
  type FindOptions,
  findProgram,
  type KubeBinaries,
} from "../apiserver_binary.ts";
import type { Program } from "../program_build.ts";

/** The executables of a cluster, apart from the container runtime. */
export interface ClusterPrograms extends KubeBinaries {
  /** kube-controller-manager. */
  readonly controllerManager: string;
  /** kube-proxy. */
  readonly proxy: string;
  /** kube-scheduler. */
  readonly scheduler: string;
  /** kubelet. */
  readonly kubelet: string;
}

/** What a cluster needs besides its API, in the order in which it is built. */
export const beside = [
  "kube-controller-manager",
  "kube-proxy",
  "kube-scheduler",
  "kubelet",
] as const;

/** Whether this machine can have a cluster. */
export type ClusterProbe =
  | { readonly available: true; readonly programs: ClusterPrograms }
  | {
    readonly available: false;
    /** Why not, and what would help. */
    readonly reason: string;
  };

/**
 * Finds the executables. What cannot be had is told, never thrown, but for an abort.
 *
 * @throws The signal's reason, if it has aborted
 */
export async function findClusterPrograms(options: FindOptions): Promise<ClusterProbe> {
  const api = await findKubeBinaries(options);
  if (!api.available) return api;
  const paths: Partial<Record<Program, string>> = {};
  for (const program of beside) {
    const found = await findProgram(program, options);
    if (!("path" in found)) return { available: false, reason: found.reason };
    paths[program] = found.path;
  }
  const {
    "kube-controller-manager": controllerManager = "",
    "kube-proxy": proxy = "",
    "kube-scheduler": scheduler = "",
    kubelet = "",
  } = paths;
  return {
    available: true,
    programs: { ...api.binaries, controllerManager, proxy, scheduler, kubelet },
  };
}
