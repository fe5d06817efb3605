import { bufferFromFileOrString } from "@kubernetes/client-node";
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import { KubeError } from "./kube_error.ts";

/** What a request needs to find the server, to be believed, and to believe the server. */
export interface Credentials {
  /** Address of the server. */
  readonly server: string;
  /** Headers that authenticate. */
  readonly headers: Readonly<Record<string, string>>;
  /** Certificate authorities that the server's certificate may come from, in PEM. */
  readonly caCerts: readonly string[];
  /** Client certificate and key in PEM. */
  readonly client?: { readonly cert: string; readonly key: string };
  /** Address of a proxy. */
  readonly proxyUrl?: string;
}

/** What is read of client-node's KubeConfig. */
export interface CredentialSource {
  /** The cluster of the current context. */
  getCurrentCluster(): {
    readonly server: string;
    readonly caFile?: string;
    readonly caData?: string;
    readonly skipTLSVerify: boolean;
    readonly tlsServerName?: string;
    readonly proxyUrl?: string;
  } | null;
  /** The user of the current context. */
  getCurrentUser(): {
    readonly certFile?: string;
    readonly certData?: string;
    readonly keyFile?: string;
    readonly keyData?: string;
    readonly token?: string;
    readonly username?: string;
    readonly password?: string;
    readonly exec?: unknown;
    readonly authProvider?: unknown;
  } | null;
  /** Runs a credential plugin and puts what it gives into the options. */
  applyToHTTPSOptions(options: object): Promise<void>;
}

const tokenFileSchema = z.object({ config: z.object({ tokenFile: z.string() }) });

const preparedSchema = z.object({
  headers: z.record(z.string(), z.string()).catch({}),
  cert: z.instanceof(Uint8Array).optional(),
  key: z.instanceof(Uint8Array).optional(),
});

/**
 * Reads the credentials of the current context anew, so that rotated files count.
 *
 * @throws {KubeError} `Unauthorized` if a file or a credential plugin gives none, `Invalid` if the configuration asks
 * for something that is not supported
 */
export async function readCredentials(config: CredentialSource): Promise<Credentials> {
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw noContext();
  if (cluster.skipTLSVerify) {
    throw new KubeError(
      "Invalid",
      'The kubeconfig sets "insecure-skip-tls-verify", which is not supported; give ' +
        '"certificate-authority" instead',
    );
  }
  if (cluster.tlsServerName !== undefined) {
    throw new KubeError(
      "Invalid",
      'The kubeconfig sets "tls-server-name", which is not supported; use an address that ' +
        "the server's certificate names",
    );
  }
  try {
    const ca = text(bufferFromFileOrString(cluster.caFile, cluster.caData));
    return {
      ...await userCredentials(config),
      server: checkServer(cluster.server),
      caCerts: ca === undefined ? [] : [ca],
      ...(cluster.proxyUrl ? { proxyUrl: cluster.proxyUrl } : {}),
    };
  } catch (cause) {
    if (cause instanceof KubeError) throw cause;
    throw new KubeError(
      "Unauthorized",
      `Could not read the credentials for "${cluster.server}": ${messageOf(cause)}; check the ` +
        "files that the kubeconfig names",
      { cause },
    );
  }
}

/**
 * The server's address without a slash at its end.
 *
 * @throws {KubeError} `Invalid` when it is neither https nor on loopback
 */
export function checkServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  const loopback = ["127.0.0.1", "[::1]", "localhost"].includes(url?.hostname ?? "");
  if (url?.protocol === "https:" || (url?.protocol === "http:" && loopback)) {
    return server.replace(/\/+$/, "");
  }
  throw new KubeError(
    "Invalid",
    `The kubeconfig's server is "${server}"; expected an https address (http only on loopback)`,
  );
}

/** The error of a kubeconfig whose current context leads nowhere. */
export function noContext(): KubeError {
  return new KubeError(
    "Invalid",
    "The kubeconfig's current context names no cluster; set current-context",
  );
}

type UserCredentials = Omit<Credentials, "caCerts" | "server">;

async function userCredentials(config: CredentialSource): Promise<UserCredentials> {
  const user = config.getCurrentUser();
  if (user === null) return { headers: {} };
  const cert = text(bufferFromFileOrString(user.certFile, user.certData));
  const key = text(bufferFromFileOrString(user.keyFile, user.keyData));
  const client = cert !== undefined && key !== undefined ? { client: { cert, key } } : {};
  const tokenFile = tokenFileSchema.safeParse(user.authProvider).data?.config.tokenFile;
  if (tokenFile !== undefined) {
    const token = (await Deno.readTextFile(tokenFile)).trim();
    if (token === "") {
      throw new KubeError("Unauthorized", `The token file "${tokenFile}" is empty; renew it`);
    }
    return { headers: { authorization: `Bearer ${token}` }, ...client };
  }
  if (user.token) return { headers: { authorization: `Bearer ${user.token.trim()}` }, ...client };
  if (user.username) {
    const pair = btoa(`${user.username}:${user.password ?? ""}`);
    return { headers: { authorization: `Basic ${pair}` }, ...client };
  }
  if (user.exec || user.authProvider) return await pluginCredentials(config);
  return { headers: {}, ...client };
}

async function pluginCredentials(config: CredentialSource): Promise<UserCredentials> {
  const options = { headers: {} };
  await config.applyToHTTPSOptions(options);
  const { headers, cert, key } = preparedSchema.parse(options);
  return {
    headers,
    ...(cert && key ? { client: { cert: decode(cert), key: decode(key) } } : {}),
  };
}

function text(bytes: Uint8Array | null): string | undefined {
  return bytes === null ? undefined : decode(bytes);
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
