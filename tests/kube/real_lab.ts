/** A lab around a real kube-apiserver and etcd, which run on the lab's own machine for it. */
import { type Lab, type LabOptions, startLab } from "../lab/lab.ts";
import { kubeconfig } from "../lab/machines.ts";
import { executeRaw, until } from "../lab/process.ts";
import { underlay } from "../lab/topology.ts";
import type { KubeBinaries } from "./apiserver_binary.ts";
import { type RealServer, startRealServer } from "./real_server.ts";

/** What the lab shall be. */
export interface RealLabOptions extends Omit<LabOptions, "startApi" | "keep"> {
  /** The executables. */
  readonly binaries: KubeBinaries;
}

/** A lab that is up, and its API; disposing of the lab takes both down. */
export interface RealLab {
  /** The lab. */
  readonly lab: Lab;
  /** Its API. */
  readonly server: RealServer;
}

/** Starts it. Nothing is left when it fails. */
export async function startRealLab(options: RealLabOptions): Promise<RealLab> {
  const { binaries, signal } = options;
  let server: RealServer | undefined;
  const lab = await startLab({
    ...options,
    keep: false,
    startApi: async (lab) => {
      const directory = `${lab.directory}/kube`;
      await Deno.mkdir(directory, { mode: 0o700 });
      const place = { directory, host: underlay.api, machine: lab.api };
      server = await startRealServer({ binaries, ...place, signal });
      await Deno.copyFile(server.kubeconfigPath, kubeconfig(lab));
    },
  });
  if (server === undefined) throw new Error("The lab was made without its API");
  return { lab, server };
}

/** Kills the API server of a lab; resolves when it is gone. */
export async function killApiServer({ api }: Lab): Promise<void> {
  await api.run(["pkill", "-KILL", "-x", "kube-apiserver"]);
  await until("kube-apiserver to be gone", 60, async () => {
    const { code } = await executeRaw(api.inside(["pgrep", "-x", "kube-apiserver"]));
    return code === 0 ? undefined : true;
  });
}
