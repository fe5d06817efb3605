/** What a runtime gives the plugin, and what a daemon answers it. */
import fc from "fast-check";
import { join } from "node:path";
import { parseCniArgs } from "../../../lib/cni/args.ts";
import { parseNetworkConfig } from "../../../lib/cni/config.ts";
import { CniError } from "../../../lib/cni/errors.ts";
import { parseNetworkWishes } from "../../../lib/cni/wishes.ts";
import { IpcError, JsonConnection } from "../../../lib/ipc/client.ts";
import { runPlugin } from "../../../plugin.ts";
import { exploring, exploringSync } from "../explore.ts";
import { changedBytes, changedJson, hostileText } from "../mutation.ts";
import { expectRefusal, type FuzzTarget, nothing } from "../target.ts";

const address = { address: "10.150.0.2/26", gateway: "10.150.0.1", interface: 0 };

/** Configurations as runtimes give them. */
export const networkConfigs: readonly unknown[] = [
  { cniVersion: "1.1.0", name: "pr2t", type: "pyroute2-cni-plugin" },
  {
    cniVersion: "1.0.0",
    name: "pr2t",
    type: "pyroute2-cni-plugin",
    socketPathApi: "/nowhere/api",
    socketPathFd: "/nowhere/fdpass",
    domain: "tenant-a",
    isDefaultGateway: false,
    prevResult: {
      cniVersion: "1.0.0",
      interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/a", mtu: 1450 }],
      ips: [address],
      routes: [{
        dst: "0.0.0.0/0",
        gw: "10.150.0.1",
        mtu: 1400,
        priority: 1,
        table: 254,
        scope: 0,
      }],
      dns: { nameservers: ["10.96.0.10"], domain: "a", search: ["b"], options: ["c"] },
    },
    runtimeConfig: {
      ips: ["10.150.0.70/26"],
      mac: "02:00:00:00:00:01",
      "io.kubernetes.cri.pod-annotations": { "cni.pyroute2.org/ips": "10.150.0.70" },
    },
    args: { cni: { ips: ["10.150.0.70"], mac: "02:00:00:00:00:01" } },
  },
  {
    cniVersion: "1.1.0",
    name: "pr2t",
    "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
  },
];

/** An environment as runtimes set it, with hostile values. */
export const hostileEnv: fc.Arbitrary<Record<string, string>> = fc.record({
  CNI_COMMAND: oftenOf("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"),
  CNI_CONTAINERID: oftenOf("c1"),
  CNI_NETNS: oftenOf("/nowhere/netns", ""),
  CNI_IFNAME: oftenOf("eth0"),
  CNI_ARGS: fc.oneof(
    oftenOf("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;IP=10.150.0.70"),
    fc.tuple(hostileText, hostileText).map(([key, value]) => `${key}=${value};IP=${value}`),
  ),
  CNI_PATH: oftenOf("/opt/cni/bin"),
}, { requiredKeys: ["CNI_COMMAND"] });

function oftenOf(...usual: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...usual) }, {
    weight: 1,
    arbitrary: hostileText,
  });
}

/** Environment and stdin through the whole plugin, whose daemon is away: it must print an object of the specification, whatever comes. */
export const pluginCalls: FuzzTarget = {
  name: "plugin-calls",
  share: 6,
  begin() {
    const stdin = fc.oneof({ weight: 4, arbitrary: changedJson(networkConfigs) }, {
      weight: 1,
      arbitrary: hostileText,
    });
    return Promise.resolve(exploring({
      inputs: fc.tuple(hostileEnv, stdin),
      attempt: async ([env, text]) => {
        const outcome = await runPlugin(env, () => text, { pid: Deno.pid });
        if (outcome.stdout === "") throw new Error("Expected an answer, found none");
        const answer: unknown = JSON.parse(outcome.stdout);
        const isAnswer = typeof answer === "object" && answer !== null && "cniVersion" in answer &&
          typeof answer.cniVersion === "string";
        const isError = isAnswer && "code" in answer && typeof answer.code === "number" &&
          answer.code !== 100 && "msg" in answer && typeof answer.msg === "string";
        if (isAnswer && (outcome.exitCode === 0 || isError)) return;
        throw new Error(`Expected an object of the specification, found ${outcome.stdout}`);
      },
      [Symbol.asyncDispose]: nothing,
    }));
  },
};

/** The same, as the daemon validates it. */
export const networkConfigurations: FuzzTarget = {
  name: "network-configurations",
  share: 8,
  begin: () =>
    Promise.resolve(
      exploringSync(fc.tuple(hostileEnv, changedJson(networkConfigs)), ([env, text]) => {
        const config: unknown = JSON.parse(text);
        for (
          const parse of [
            () => parseCniArgs(env),
            () => parseNetworkConfig(config),
            () => parseNetworkWishes(config),
          ]
        ) {
          try {
            parse();
          } catch (thrown) {
            expectRefusal(thrown, CniError);
          }
        }
      }),
    ),
};

/** Answers of a daemon that is none. */
export const daemonAnswers: FuzzTarget = {
  name: "daemon-answers",
  share: 0.4,
  begin() {
    const directory = Deno.makeTempDirSync({ prefix: "pr2t-fuzz-" });
    const path = join(directory, "api");
    const listener = Deno.listen({ transport: "unix", path });
    let answer = new Uint8Array();
    const serving = serve(listener, () => answer);
    const recorded = [
      '{"rid":"00000000000000000000000000000000"}',
      '{"error":{"code":1,"msg":"x"}}',
    ]
      .map((body) =>
        new TextEncoder().encode(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        )
      );
    return Promise.resolve(exploring({
      inputs: changedBytes(recorded),
      attempt: async (bytes) => {
        answer = bytes;
        using connection = await JsonConnection.open(path);
        try {
          await connection.post("/", "{}", AbortSignal.timeout(60_000));
        } catch (thrown) {
          expectRefusal(thrown, IpcError);
        }
      },
      [Symbol.asyncDispose]: async () => {
        listener.close();
        await serving;
        Deno.removeSync(directory, { recursive: true });
      },
    }));
  },
};

async function serve(
  listener: Deno.UnixListener,
  answer: () => Uint8Array<ArrayBuffer>,
): Promise<void> {
  for await (const connection of listener) {
    await connection.read(new Uint8Array(4_096)).catch(() => null);
    await connection.write(answer()).catch(() => 0);
    connection.close();
  }
}
