/** Tokens of a service account of a real API, each of which puts an end to the one before. */
import { randomBytes } from "node:crypto";
import type { RealServer } from "./real_server.ts";

/** Name of the service account. */
export const account = "renewing";
/** Its namespace. */
export const namespace = "kube-system";

/**
 * Makes a service account that may do everything.
 *
 * @param kubectl Runs kubectl as administrator
 * @returns Makes a token of the account; the one made before is refused once the server's cache of tokens has forgotten it
 */
export async function renewableToken(
  kubectl: RealServer["kubectl"],
): Promise<() => Promise<string>> {
  const here = ["--namespace", namespace];
  await kubectl(["create", "serviceaccount", account, ...here]);
  await kubectl([
    ...["create", "clusterrolebinding", account, "--clusterrole=cluster-admin"],
    `--serviceaccount=${namespace}:${account}`,
  ]);
  let bound: string | undefined;
  return async () => {
    // A token holds as long as the object that it is bound to.
    const secret = `${account}-${randomBytes(4).toString("hex")}`;
    await kubectl(["create", "secret", "generic", secret, ...here]);
    const token = await kubectl([
      ...["create", "token", account, ...here],
      ...["--bound-object-kind=Secret", `--bound-object-name=${secret}`],
    ]);
    if (bound !== undefined) await kubectl(["delete", "secret", bound, ...here]);
    bound = secret;
    return token.trim();
  };
}
