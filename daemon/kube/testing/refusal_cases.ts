/** What the client must make of a server that is too busy, does not believe it, or cannot be believed. */
import assert from "node:assert/strict";
import { createLogger } from "../../log.ts";
import { type VRFDomain, vrfDomainKind } from "../../resources/vrf_domain.ts";
import { type KubeConnection, loadKube } from "../connect.ts";
import { isKubeError } from "../kube_error.ts";
import { type RunningCache, startCache } from "../resource_cache.ts";
import { createResourceClient } from "../resource_client.ts";
import { type ClientCase, domain, refusal } from "./case_api.ts";
import { eventually } from "./eventually.ts";
import { type GatewayRequest, startHttpsGateway } from "./https_gateway.ts";
import { KubeConfigFile, kubeconfigText } from "./kubeconfig.ts";
import { testCertificate } from "./scripted_api.ts";
import { startTcpRelay } from "./tcp_relay.ts";

const patience = 60_000;
const dayMs = 24 * 3_600_000;

/** A cache that tries again quickly, and the lines that it logs. */
function cacheOf(connection: KubeConnection, lines: string[] = []): RunningCache<VRFDomain> {
  return startCache({
    connection,
    resource: vrfDomainKind,
    log: createLogger("info", (line) => lines.push(line)),
    timing: { retryBaseMs: 1, retryMaxMs: 10 },
  });
}

/** Method and path of a request. */
function same({ line }: GatewayRequest): string {
  return line.split("?")[0] ?? "";
}

/** Sees that a server whose certificate is not believed is named once, with what to do, and that nothing comes of it. */
async function distrusts(server: string, authority: string, token: string, toDo: RegExp) {
  using file = new KubeConfigFile(kubeconfigText({ server, authority, token }));
  using connection = loadKube({ kubeconfigPath: file.path });
  const lines: string[] = [];
  await using cache = cacheOf(connection, lines);
  await eventually("it is tried again and again", () => cache.restarts >= 10, patience);
  assert.equal(cache.lastError?.code, "CertificateInvalid");
  assert.match(cache.lastError?.message ?? "", toDo);
  assert.equal(cache.synced, false);
  assert.equal(lines.length, 1, lines.join("\n"));
  assert.match(lines[0] ?? "", /"code":"CertificateInvalid"/);
}

/** All of them. */
export const refusalCases: readonly ClientCase[] = [
  {
    name: "a server that is too busy is not asked the same before the time that it names",
    run: async ({ connection: { server }, authority, token }) => {
      await using gateway = startHttpsGateway({ server, authority });
      const refused = new Map<string, number>();
      gateway.answer = (request) => {
        const times = (refused.get(same(request)) ?? 0) + 1;
        refused.set(same(request), times);
        if (times > 2) return undefined;
        // Such is the answer of kube-apiserver's priority and fairness.
        return new Response("Too many requests, please try again later.\n", {
          status: 429,
          headers: { "content-type": "text/plain; charset=utf-8", "retry-after": "1" },
        });
      };
      using file = new KubeConfigFile(
        kubeconfigText({ server: gateway.url, authority: gateway.authority, token }),
      );
      using connection = loadKube({ kubeconfigPath: file.path });
      const client = createResourceClient(connection, vrfDomainKind);
      await using cache = cacheOf(connection);
      await client.create(domain("blue", 1));
      await client.patchStatus("blue", { status: { nodes: { ready: 1, total: 1 } } });
      await eventually("the object is seen", () => cache.get("blue") !== undefined, patience);
      assert.equal(refused.size, 3);
      for (const requests of Map.groupBy(gateway.asked, same).values()) {
        const [first, second, third] = requests;
        assert(first !== undefined && second !== undefined && third !== undefined);
        for (const [before, after] of [[first, second], [second, third]] as const) {
          assert(after.at - before.at >= 1_000, `${after.line} came ${after.at - before.at} ms on`);
        }
      }
    },
  },
  {
    name: "a token that is refused is told clearly, and one that takes its place is used at once",
    run: async (api) => {
      await using relay = startTcpRelay({ server: api.connection.server });
      const directory = Deno.makeTempDirSync({ prefix: "pr2t-" });
      try {
        const tokenFile = `${directory}/token`;
        // As kubelets do: whoever reads at the same time has one token or the other.
        const write = (token: string) => {
          Deno.writeTextFileSync(`${tokenFile}.next`, token);
          Deno.renameSync(`${tokenFile}.next`, tokenFile);
        };
        write(await api.renewToken());
        using file = new KubeConfigFile(
          kubeconfigText({ server: relay.url, authority: api.authority, tokenFile }),
        );
        using connection = loadKube({ kubeconfigPath: file.path });
        const client = createResourceClient(connection, vrfDomainKind);
        await client.create(domain("blue", 1));
        await using cache = cacheOf(connection);
        await cache.whenSynced(AbortSignal.timeout(patience));
        const renewed = await api.renewToken();
        const isRefused = (thrown: unknown) => isKubeError(thrown, "Unauthorized");
        await eventually(
          "the old one is refused",
          () => client.get("blue").then(() => false, isRefused),
          patience,
        );
        const { code, message } = await refusal(client.get("blue"));
        assert.equal(code, "Unauthorized");
        assert.match(message, /check the token/);
        // A watch that is open stays so: it is the next one that is refused.
        const { restarts } = cache;
        relay.cut();
        await eventually("the cache is refused", () => {
          return cache.restarts > restarts + 1 && cache.lastError?.code === "Unauthorized";
        }, patience);
        assert.equal(cache.connected, false);
        assert.notEqual(cache.get("blue"), undefined, "the content stays");
        write(renewed);
        assert.notEqual(await client.get("blue"), undefined);
        await eventually("the cache is in contact", () => cache.connected, patience);
        await client.create(domain("green", 2));
        await eventually("it goes on", () => cache.get("green") !== undefined, patience);
      } finally {
        Deno.removeSync(directory, { recursive: true });
      }
    },
  },
  {
    name:
      "a certificate that cannot be believed is named once, with what to do, and nothing is taken",
    run: async ({ connection: { server }, authority, token }) => {
      await distrusts(server, testCertificate, token, /check the certificate authority/);
      // All of 127.0.0.0/8 is loopback's, and this address is in no certificate.
      await using relay = startTcpRelay({ server, hostname: "127.254.253.252" });
      await distrusts(relay.url, authority, token, /use an address of the server/);
      for (const [days, says] of [[2, "not valid yet"], [-20 * 365, "expired"]] as const) {
        const now = new Date(Date.now() + days * dayMs);
        await using gateway = startHttpsGateway({ server, authority, now });
        const toDo = new RegExp(`${says}.*this machine's clock says 2.*set it if it is wrong`);
        await distrusts(gateway.url, gateway.authority, token, toDo);
        assert.deepEqual(gateway.asked, []);
      }
    },
  },
];
