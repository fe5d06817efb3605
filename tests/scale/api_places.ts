/** The API servers that a simulation runs against, each in processes of its own. */
import { z } from "zod";
import type { KubeProbe } from "../kube/apiserver_binary.ts";
import { startRealServer } from "../kube/real_server.ts";
import { cpuSeconds, memoryOf } from "../bench/processes.ts";
import { TextLineStream } from "../bench/text_lines.ts";

/** What a server's process has taken. */
export interface ServerUse {
  /** Seconds of processors' time. */
  readonly cpu: number;
  /** MiB resident. */
  readonly resident: number;
}

/** A running server; disposing ends it. */
export interface ApiPlace extends AsyncDisposable {
  /** Which it is. */
  readonly name: "embedded" | "kube-apiserver";
  /** Where its administrator's kubeconfig is. */
  readonly kubeconfigPath: string;
  /** What it has taken so far; undefined where it is not looked at. */
  use(): Promise<ServerUse | undefined>;
}

const toldSchema = z.object({ kubeconfigPath: z.string() });

/** The embedded API in a process of its own. */
export async function startEmbedded(): Promise<ApiPlace> {
  const directory = await Deno.makeTempDir({ prefix: "pr2t-scale-" });
  const script = new URL("../kube/embedded_process.ts", import.meta.url).pathname;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", script, directory],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();
  const { value } = await lines.read();
  const { kubeconfigPath } = toldSchema.parse(JSON.parse(value ?? "null"));
  const process = { name: "apiserver", proc: `/proc/${child.pid}` };
  return {
    name: "embedded",
    kubeconfigPath,
    use: async () => ({
      cpu: await cpuSeconds(process),
      resident: (await memoryOf(process)).resident,
    }),
    async [Symbol.asyncDispose]() {
      await child.stdin.close();
      await lines.cancel();
      await child.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** etcd and kube-apiserver. */
export async function startReal(
  { binaries }: KubeProbe & { readonly available: true },
  signal: AbortSignal,
): Promise<ApiPlace> {
  const server = await startRealServer({ binaries, signal });
  return {
    name: "kube-apiserver",
    kubeconfigPath: server.kubeconfigPath,
    use: () => Promise.resolve(undefined),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}
