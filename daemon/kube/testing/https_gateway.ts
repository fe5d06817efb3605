/** An HTTPS server in front of an API, with a certificate of its own: it counts requests, and answers some of them itself. */
import { createPrivateKey, createPublicKey } from "node:crypto";
import { createAuthority, createServerCertificate } from "../../apiserver/certificate.ts";

/** How a gateway is started. */
export interface HttpsGatewayOptions {
  /** Address of the API. */
  readonly server: string;
  /** The API's certificate authority in PEM. */
  readonly authority: string;
  /** Names and addresses in the gateway's certificate; its own address when absent. */
  readonly hosts?: readonly string[];
  /** When its certificate is made: the clock of whoever made it. */
  readonly now?: Date;
}

/** A request that arrived. */
export interface GatewayRequest {
  /** `METHOD path?query`. */
  readonly line: string;
  /** When it arrived, by `performance.now`. */
  readonly at: number;
}

/** A running gateway. */
export interface HttpsGateway extends AsyncDisposable {
  /** Its address. */
  readonly url: string;
  /** Its certificate authority in PEM. */
  readonly authority: string;
  /** What has arrived so far. */
  readonly asked: readonly GatewayRequest[];
  /** Gives the answer to a request in the API's stead; undefined lets it through. */
  answer: (request: GatewayRequest) => Response | undefined;
}

const authorityName = "gateway";

/** Starts a gateway on a free port of 127.0.0.1. */
export function startHttpsGateway(options: HttpsGatewayOptions): HttpsGateway {
  const now = options.now ?? new Date();
  const authority = createAuthority(authorityName, now);
  const key = createPrivateKey(authority.key);
  const { certificate, key: serverKey } = createServerCertificate(
    { commonName: authorityName, key, publicKey: createPublicKey(key) },
    options.hosts ?? ["127.0.0.1"],
    now,
  );
  const asked: GatewayRequest[] = [];
  const stop = new AbortController();
  const upstream = Deno.createHttpClient({ caCerts: [options.authority], http2: false });
  const server = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: certificate,
    key: serverKey,
    onListen: () => {},
    onError: () => new Response(null, { status: 502 }),
  }, async (request) => {
    const { pathname, search } = new URL(request.url);
    const arrived = { line: `${request.method} ${pathname}${search}`, at: performance.now() };
    asked.push(arrived);
    const own = gateway.answer(arrived);
    if (own !== undefined) return own;
    const { status, headers, body } = await fetch(`${options.server}${pathname}${search}`, {
      client: upstream,
      method: request.method,
      headers: request.headers,
      body: request.body === null ? null : await request.arrayBuffer(),
      signal: AbortSignal.any([request.signal, stop.signal]),
    });
    return new Response(body, { status, headers });
  });
  const gateway: HttpsGateway = {
    url: `https://127.0.0.1:${server.addr.port}`,
    authority: authority.certificate,
    asked,
    answer: () => undefined,
    async [Symbol.asyncDispose]() {
      stop.abort(new Error("The gateway ends"));
      await server.shutdown();
      upstream.close();
    },
  };
  return gateway;
}
