/** Requests on the daemon's socket, and datagrams with descriptors. */
import fc from "fast-check";
import { createCniApi } from "../../../daemon/server/cni_api.ts";
import { receiveDescriptors } from "../../../daemon/server/fd_receiver.ts";
import { createMetrics } from "../../../daemon/server/metrics.ts";
import { processIdentity } from "../../../daemon/server/process_identity.ts";
import { RequestRegistry } from "../../../daemon/server/request_registry.ts";
import { createLogger } from "../../../daemon/log.ts";
import { MAX_FD_PAYLOAD } from "../../../lib/sys/unix_datagram.ts";
import type { FdMessage } from "../../../lib/sys/fd_receiver.ts";
import type { OwnedFd } from "../../../lib/sys/fd.ts";
import { openNetns } from "../../../lib/sys/netns.ts";
import { exploring } from "../explore.ts";
import { changedBytes, changedJson, hostileText } from "../mutation.ts";
import { type FuzzTarget, nothing } from "../target.ts";
import { networkConfigs } from "./plugin.ts";

const rid = "0".repeat(32);
const quiet = createLogger("error", () => {});

function registry(): RequestRegistry<OwnedFd> {
  return new RequestRegistry<OwnedFd>({
    now: () => performance.now(),
    randomId: () => rid,
    processIdentity,
    fdTimeoutMs: 0,
    maxOutstanding: 4,
  });
}

const env = {
  CNI_COMMAND: "DEL",
  CNI_CONTAINERID: "c1",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0",
};

const bodies: readonly unknown[] = [
  { pid: Deno.pid },
  ...networkConfigs.flatMap((config) => [
    { command: "DEL", env, config, descriptor: false },
    {
      command: "ADD",
      env: { ...env, CNI_COMMAND: "ADD", CNI_NETNS: "/run/netns/a" },
      config,
      descriptor: true,
    },
    { command: "GC", env: { CNI_COMMAND: "GC" }, config, descriptor: false },
    { command: "STATUS", env: { CNI_COMMAND: "STATUS" }, config, descriptor: false },
  ]),
];

/** A header that HTTP can carry. */
const headerValue = hostileText.map((text) => text.replaceAll(/[^\x20-\x7e]/g, ""));

/** Requests behind the HTTP parser. */
export const daemonRequests: FuzzTarget = {
  name: "daemon-requests",
  share: 4,
  begin() {
    const requests = registry();
    const answer = createCniApi({
      registry: requests,
      handlers: {
        add: () => Promise.resolve({ interfaces: [], ips: [], routes: [] }),
        del: nothing,
        check: nothing,
        gc: nothing,
        status: nothing,
      },
      log: quiet,
      metrics: createMetrics({ version: "0", runtime: "0", backend: "netns" }),
      commandSignal: (signal) => ({ signal, [Symbol.dispose]: () => {} }),
    });
    const path = fc.oneof(
      { weight: 6, arbitrary: fc.constant(`/v1/requests/${rid}`) },
      { weight: 2, arbitrary: fc.constant("/v1/requests") },
      { weight: 1, arbitrary: hostileText.map((text) => `/v1/requests/${text}`) },
      { weight: 1, arbitrary: hostileText.map((text) => `/${text}`) },
    );
    return Promise.resolve(exploring({
      inputs: fc.record({
        method: fc.constantFrom("POST", "POST", "POST", "POST", "PUT", "DELETE", "PATCH"),
        path,
        body: fc.oneof({ weight: 6, arbitrary: changedJson(bodies) }, hostileText),
        type: headerValue,
        length: fc.option(headerValue, { freq: 8 }),
        created: fc.boolean(),
      }),
      attempt: async ({ method, path, body, type, length, created }) => {
        if (created && requests.size === 0) requests.create(Deno.pid);
        const url = new URL("http://localhost");
        url.pathname = path;
        const request = new Request(url, {
          method,
          body,
          headers: {
            "content-type": type,
            ...length === null ? {} : { "content-length": length },
          },
        });
        const response = await answer(request);
        const text = await response.text();
        const answered: unknown = JSON.parse(text);
        const isObject = typeof answered === "object" && answered !== null;
        if (response.ok && isObject && !("error" in answered)) return;
        const error: unknown = isObject && "error" in answered ? answered.error : undefined;
        const isError = typeof error === "object" && error !== null && "code" in error &&
          typeof error.code === "number" && error.code !== 100;
        if (isError && response.status >= 400) return;
        throw new Error(`Expected an answer or a refusal, found ${response.status} ${text}`);
      },
      [Symbol.asyncDispose]: () => {
        requests[Symbol.dispose]();
        return Promise.resolve();
      },
    }));
  },
};

/** Datagrams of the descriptor socket, with real descriptors: none may stay open. */
export const descriptorMessages: FuzzTarget = {
  name: "descriptor-messages",
  share: 3,
  begin() {
    const encoder = new TextEncoder();
    const recorded = [JSON.stringify({ rid }), JSON.stringify({ rid, more: "x".repeat(300) })]
      .map((text) => encoder.encode(text));
    const files = ["/dev/null", "/proc/self/ns/net", "/proc/self/ns/mnt"] as const;
    return Promise.resolve(exploring({
      inputs: fc.record({
        payload: changedBytes(recorded).map((bytes) => bytes.slice(0, MAX_FD_PAYLOAD)),
        files: fc.array(fc.constantFrom(...files), { maxLength: 3 }),
        sender: fc.option(fc.record({
          pid: fc.constantFrom(Deno.pid, 0, 1, -1, 2 ** 31 - 1),
          uid: fc.constantFrom(0, 65534),
        })),
        truncated: fc.boolean(),
      }),
      attempt: async ({ payload, files, sender, truncated }) => {
        const requests = registry();
        requests.create(Deno.pid);
        const fds = files.map((path) => openNetns(path));
        const message: FdMessage = {
          payload,
          fds,
          truncated,
          ...sender === null ? {} : { credentials: { ...sender, gid: 0 } },
        };
        const stop = new AbortController();
        let sent = false;
        const receive = (): Promise<FdMessage> => {
          if (sent) {
            stop.abort(new Error("that was all"));
            return Promise.reject(stop.signal.reason);
          }
          sent = true;
          return Promise.resolve(message);
        };
        await receiveDescriptors(
          { source: { receive }, registry: requests, log: quiet, refused: () => {} },
          stop.signal,
        );
        // What was delivered belongs to the request, and goes with it.
        requests[Symbol.dispose]();
        if (fds.every(({ closed }) => closed)) return;
        throw new Error("Expected all descriptors to be closed, found one that is open");
      },
      [Symbol.asyncDispose]: nothing,
    }));
  },
};
