/** The kubelet's side of the Container Runtime Interface, as much of it as starting and ending a pod takes. */
import http2 from "node:http2";
import net from "node:net";
import { CodedError } from "../../lib/errors.ts";
import { encode, fields, type Message } from "./protobuf.ts";

/** A pod as the kubelet describes it (k8s.io/cri-api, `PodSandboxConfig`). */
export interface SandboxConfig {
  /** Its name; also its host name. */
  readonly name: string;
  /** Its namespace. */
  readonly namespace: string;
  /** Its UID. */
  readonly uid: string;
  /** Its annotations. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Directory for its logs, on the node. */
  readonly logDirectory: string;
  /** Path of the control group that its containers' are in. */
  readonly cgroupParent: string;
}

/** The runtime refused or failed. Codes: `CallFailed`, `UnexpectedAnswer`. */
export class CriError extends CodedError {}

/** A connection to a container runtime. */
export interface CriClient extends Disposable {
  /** Starts a pod's sandbox, network included, and gives its id. @throws {CriError} */
  runPodSandbox(config: SandboxConfig): Promise<string>;
  /** The pod's address as the kubelet learns it. @throws {CriError} */
  podAddress(id: string): Promise<string>;
  /** The ids of all sandboxes, those that failed to start included. @throws {CriError} */
  podSandboxes(): Promise<string[]>;
  /** Ends the sandbox and detaches its network. @throws {CriError} */
  stopPodSandbox(id: string): Promise<void>;
  /** Forgets the sandbox. @throws {CriError} */
  removePodSandbox(id: string): Promise<void>;
}

/** Connects to the runtime at a UNIX socket. */
export function connectCri(path: string): CriClient {
  const session = http2.connect("http://localhost", { createConnection: () => net.connect(path) });
  // Each call fails by itself when the connection does.
  session.on("error", () => {});
  const call = (method: string, message: Message) => request(session, method, message);
  return {
    async runPodSandbox(config) {
      return text(await call("RunPodSandbox", { 1: sandboxMessage(config) }), 1);
    },
    async podAddress(id) {
      const response = await call("PodSandboxStatus", { 1: id });
      const [status, network] = [1, 5]; // PodSandboxStatusResponse.status, PodSandboxStatus.network
      return text(present(present(response, status), network), 1);
    },
    async podSandboxes() {
      // ListPodSandboxResponse.items, PodSandbox.id
      return fields(await call("ListPodSandbox", {}), 1).map((sandbox) => text(sandbox, 1));
    },
    async stopPodSandbox(id) {
      await call("StopPodSandbox", { 1: id });
    },
    async removePodSandbox(id) {
      await call("RemovePodSandbox", { 1: id });
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}

/** PodSandboxConfig: metadata, hostname, log_directory, annotations, linux.cgroup_parent. */
function sandboxMessage(config: SandboxConfig): Message {
  return {
    1: { 1: config.name, 2: config.uid, 3: config.namespace },
    2: config.name,
    3: config.logDirectory,
    7: Object.entries(config.annotations ?? {}).map(([key, value]) => ({ 1: key, 2: value })),
    8: { 1: config.cgroupParent },
  };
}

/** One call of gRPC over HTTP/2 (grpc.io, PROTOCOL-HTTP2): a flag, the length in four bytes, the message. */
function request(
  session: http2.ClientHttp2Session,
  method: string,
  message: Message,
): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const stream = session.request({
    ":method": "POST",
    ":path": `/runtime.v1.RuntimeService/${method}`,
    "content-type": "application/grpc",
    te: "trailers",
  });
  const chunks: Uint8Array[] = [];
  let status: Record<string, unknown> = {};
  // A call that fails at once has its status among the headers.
  const keep = (headers: Record<string, unknown>) => status = { ...status, ...headers };
  stream.on("response", keep);
  stream.on("trailers", keep);
  stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  stream.on("error", reject);
  stream.on("close", () => {
    if (status["grpc-status"] === "0") return resolve(joined(chunks).subarray(5));
    const message = decodeURIComponent(String(status["grpc-message"]));
    reject(new CriError("CallFailed", `${method}: ${message}`));
  });
  const body = encode(message);
  const framed = new Uint8Array(5 + body.length);
  new DataView(framed.buffer).setUint32(1, body.length);
  framed.set(body, 5);
  stream.end(framed);
  return promise;
}

function joined(chunks: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function text(message: Uint8Array, wanted: number): string {
  return new TextDecoder().decode(present(message, wanted));
}

function present(message: Uint8Array, wanted: number): Uint8Array {
  const [content] = fields(message, wanted);
  if (content === undefined) {
    throw new CriError(
      "UnexpectedAnswer",
      `Expected field ${wanted} in the runtime's answer, found none`,
    );
  }
  return content;
}
