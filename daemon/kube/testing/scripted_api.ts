/** An HTTPS server for tests whose answers the test writes itself. */
import { KubeConfigFile, kubeconfigText } from "./kubeconfig.ts";

/** Certificate of 127.0.0.1, self-signed, for tests alone. */
export const testCertificate = `-----BEGIN CERTIFICATE-----
MIIBlDCCATmgAwIBAgIUMJQyXwAtu5+8m7r4fK1t0TQrg1cwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMc2NyaXB0ZWQtYXBpMCAXDTI2MTEyMzIzMzkwNloYDzIxMjYx
MDMwMjMzOTA2WjAXMRUwEwYDVQQDDAxzY3JpcHRlZC1hcGkwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAARAk01/rMe+t5212V+vr721Kndft2bBhvwJaYN9Bl01wkYQ
5bcq9UlYyTOl8SMv6EEkDyocLASABRWetYfVX8qFo2EwXzAdBgNVHQ4EFgQUq/sZ
yO2kFWXoN/rZ3zRc09Ywl2UwHwYDVR0jBBgwFoAUq/sZyO2kFWXoN/rZ3zRc09Yw
l2UwDwYDVR0RBAgwBocEfwAAATAMBgNVHRMBAf8EAjAAMAoGCCqGSM49BAMCA0kA
MEYCIQDZoXXrb6Nlbo6uECO/SIFHXqOQwLylExC4VsS7ONZQHgIhAI6D3Z3NApn8
QKynr5RbuQwbxlJUiqKer+ikp+N3ckUa
-----END CERTIFICATE-----
`;

/** Key of {@linkcode testCertificate}. */
export const testKey = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgHhTVbU32Wa8udsLe
juStyiEa1s9eDBAXdR+IF849GayhRANCAARAk01/rMe+t5212V+vr721Kndft2bB
hvwJaYN9Bl01wkYQ5bcq9UlYyTOl8SMv6EEkDyocLASABRWetYfVX8qF
-----END PRIVATE KEY-----
`;

/** A watch that the test feeds. */
export interface ScriptedWatch {
  /** The answer to give. */
  readonly response: Response;
  /** Resolves when the client is gone. */
  readonly closed: Promise<void>;
  /** Sends an event. */
  send(type: string, object: unknown): void;
  /** Sends any text. */
  write(text: string): void;
  /** Ends the answer as a server does at its time limit. */
  end(): void;
  /** Breaks the connection off. */
  cut(): void;
}

/** Starts an answer that goes on. */
export function openWatch(): ScriptedWatch {
  const encoder = new TextEncoder();
  const closed = Promise.withResolvers<void>();
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (given) => {
      controller = given;
    },
    cancel: () => closed.resolve(),
  });
  const finish = (how: () => void) => {
    closed.resolve();
    try {
      how();
    } catch {
      // The client was quicker.
    }
  };
  return {
    response: new Response(body, { headers: { "content-type": "application/json" } }),
    closed: closed.promise,
    send: (type, object) =>
      controller?.enqueue(encoder.encode(`${JSON.stringify({ type, object })}\n`)),
    write: (text) => controller?.enqueue(encoder.encode(text)),
    end: () => finish(() => controller?.close()),
    cut: () => finish(() => controller?.error(new Error("cut"))),
  };
}

/** A running server. */
export interface ScriptedApi extends AsyncDisposable {
  /** Its port on 127.0.0.1. */
  readonly port: number;
  /** What was asked so far, as `METHOD path?query`. */
  readonly asked: string[];
  /** A kubeconfig for it, removed with the server. */
  readonly kubeconfigPath: string;
}

/** How the server shall be. */
export interface ScriptedApiOptions {
  /** Port; any free one when absent. */
  readonly port?: number;
  /** Certificate authority that the kubeconfig names. */
  readonly authority?: string;
  /** Without TLS, where a test makes many connections. */
  readonly plain?: boolean;
}

/** Starts a server that answers with `answer`. */
export function startScriptedApi(
  answer: (request: Request, url: URL) => Response | Promise<Response>,
  options: ScriptedApiOptions = {},
): ScriptedApi {
  const asked: string[] = [];
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: options.port ?? 0,
    ...(options.plain ? {} : { cert: testCertificate, key: testKey }),
    onListen: () => {},
    onError: () => new Response(null, { status: 500 }),
  }, (request) => {
    const url = new URL(request.url);
    asked.push(`${request.method} ${url.pathname}${url.search}`);
    return answer(request, url);
  });
  const file = new KubeConfigFile(kubeconfigText({
    server: `${options.plain ? "http" : "https"}://127.0.0.1:${server.addr.port}`,
    authority: options.authority ?? testCertificate,
    token: "scripted",
  }));
  return {
    port: server.addr.port,
    asked,
    kubeconfigPath: file.path,
    async [Symbol.asyncDispose]() {
      file[Symbol.dispose]();
      await server.shutdown();
    },
  };
}

/** An answer in JSON. */
export function jsonAnswer(
  body: unknown,
  status = 200,
  headers: Record<string, string> = {},
): Response {
  return Response.json(body, { status, headers });
}

/** A `Status` of meta/v1 as the answer. */
export function statusAnswer(
  code: number,
  reason: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  return jsonAnswer(
    { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message },
    code,
    headers,
  );
}
