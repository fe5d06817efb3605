import { KubeConfig } from "@kubernetes/client-node";
import { dirname, isAbsolute, join } from "node:path";
import { parse as parseYaml } from "yaml";
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import type { CredentialSource } from "./credentials.ts";
import { createHttpTransport, type KubeConnection, type TransportOptions } from "./transport.ts";
import { KubeError } from "./kube_error.ts";

export type { KubeConnection } from "./transport.ts";

/** Where a pod finds its cluster: the environment's address and the service account's files. */
export interface InCluster {
  /** `KUBERNETES_SERVICE_HOST`. */
  readonly host: string;
  /** `KUBERNETES_SERVICE_PORT`. */
  readonly port: string;
  /** Folder with `token` and `ca.crt`. */
  readonly directory?: string;
}

/** How to reach the API: exactly one of the two. */
export interface LoadKubeOptions extends TransportOptions {
  /** Path of a kubeconfig. */
  readonly kubeconfigPath?: string;
  /** The service account of the pod that the daemon runs in. */
  readonly inCluster?: InCluster;
}

const serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

const kubeconfigSchema = z.looseObject({
  users: z.array(z.looseObject({
    user: z.looseObject({ tokenFile: z.string().optional() }).nullish(),
  })).nullish(),
});

/**
 * Prepares the connection to the Kubernetes API. Nothing is sent yet: the first request tells whether it works. A kubeconfig
 * is read again with the credentials, so that one that is mended or replaced counts without a restart.
 *
 * @throws {KubeError} `Invalid` if the configuration cannot be read or names no server
 */
export function loadKube(options: LoadKubeOptions): KubeConnection {
  if (options.inCluster !== undefined) {
    const config = fromServiceAccount(options.inCluster);
    return createHttpTransport(() => config, options);
  }
  return createHttpTransport(fileSource(options.kubeconfigPath), options);
}

/** The file as it is now; parsed again only when its text has changed. */
function fileSource(path: string | undefined): () => CredentialSource {
  let known: { readonly text: string; readonly config: KubeConfig } | undefined;
  return () => {
    const text = readKubeconfig(path);
    if (known?.text !== text) known = { text, config: parseKubeconfig(path ?? "", text) };
    return known.config;
  };
}

function fromServiceAccount(pod: InCluster): KubeConfig {
  const directory = pod.directory ?? serviceAccount;
  const host = pod.host.includes(":") ? `[${pod.host}]` : pod.host;
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    {
      name: "in-cluster",
      server: `https://${host}:${pod.port}`,
      caFile: join(directory, "ca.crt"),
      skipTLSVerify: false,
    },
    { name: "in-cluster", authProvider: tokenFileProvider(join(directory, "token")) },
  );
  return config;
}

function readKubeconfig(path: string | undefined): string {
  if (path === undefined) {
    throw new KubeError(
      "Invalid",
      "Neither a kubeconfig nor a service account is given; name one of them",
    );
  }
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function parseKubeconfig(path: string, text: string): KubeConfig {
  const config = new KubeConfig();
  try {
    const content = kubeconfigSchema.parse(parseYaml(text));
    const directory = dirname(path);
    // client-node reads no "tokenFile", although kubectl does.
    for (const { user } of content.users ?? []) {
      if (user?.tokenFile === undefined) continue;
      const file = isAbsolute(user.tokenFile) ? user.tokenFile : join(directory, user.tokenFile);
      user["auth-provider"] = tokenFileProvider(file);
    }
    config.loadFromString(JSON.stringify(content));
    config.makePathsAbsolute(directory);
    return config;
  } catch (cause) {
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): KubeError {
  return new KubeError(
    "Invalid",
    `Could not read the kubeconfig "${path}": ${messageOf(cause)}; check the file`,
    { cause },
  );
}

function tokenFileProvider(tokenFile: string): { name: string; config: { tokenFile: string } } {
  return { name: "tokenFile", config: { tokenFile } };
}
