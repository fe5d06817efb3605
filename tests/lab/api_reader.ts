/** Reading the lab's API again and again without a kubectl for each look: one `kubectl proxy` carries them all. */
import { kubeconfig } from "./machines.ts";
import type { Lab } from "./lab.ts";
import { patience } from "./patience.ts";
import { until } from "./process.ts";

/** Reads the API. */
export interface ApiReader extends Disposable {
  /** The objects of a kind of this project, such as `vrfnodestates`, as they come. @throws {Error} When the server refuses */
  list(plural: string): Promise<readonly unknown[]>;
}

/** Starts a proxy on the machine of the API, which ends with it; resolves when it serves. */
export async function startApiReader(lab: Lab): Promise<ApiReader> {
  const path = `${lab.directory}/proxy.sock`;
  lab.api.start(["kubectl", "--kubeconfig", kubeconfig(lab), "proxy", "--unix-socket", path], {
    log: `${lab.directory}/proxy.log`,
  });
  const client = Deno.createHttpClient({ proxy: { transport: "unix", path } });
  const reader: ApiReader = {
    async list(plural) {
      const url = `http://localhost/apis/cni.pyroute2.org/v1alpha1/${plural}`;
      const response = await fetch(url, { client });
      if (!response.ok) throw new Error(`"${plural}": ${response.status} ${await response.text()}`);
      return (await response.json()).items;
    },
    [Symbol.dispose]: () => client.close(),
  };
  await until("kubectl's proxy", patience, () => reader.list("vrfnodestates"));
  return reader;
}
