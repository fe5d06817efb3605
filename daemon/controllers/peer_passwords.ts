/**
 * The passwords of BGP peers, from Secrets. Only the Secrets that the node's settings name are followed, one watch each, and nothing at all
 * while they name none.
 *
 * A password that was usable once stays in use until another one is, over a restart of the daemon too: the session would end without it.
 *
 * @module
 */
import { isPassword } from "../../frr/validate.ts";
import type { ResourceCache } from "../kube/port.ts";
import type { ResolvedPasswords } from "../reconcile/peers.ts";
import type { BgpPeerOptions, SecretKeyRef } from "../resources/bgp_peer.ts";
import type { Secret } from "../resources/core.ts";
import type { VRFNodeConfigSpec } from "../resources/vrf_node_config.ts";
import type { KeptPasswords } from "./kept_passwords.ts";

/** A Secret that is followed. */
export interface FollowedSecret extends AsyncDisposable {
  /** Holds the Secret or nothing. */
  readonly cache: ResourceCache<Secret>;
}

/** What the passwords come from. */
export interface PeerPasswordsOptions {
  /** Starts to follow the Secret of a name. */
  readonly follow: (name: string) => FollowedSecret;
  /** Remembers passwords over a restart. */
  readonly kept: KeptPasswords;
  /** Called when a password may have changed. */
  readonly changed: () => void;
}

/** Follows the Secrets that the node's settings name. */
export interface PeerPasswords extends AsyncDisposable {
  /** Follows exactly those that these settings name from now on. Never throws. */
  resolve(config: VRFNodeConfigSpec | undefined): ResolvedPasswords;
}

interface Followed {
  readonly secret: FollowedSecret;
  readonly unsubscribe: () => void;
}

/** Starts following nothing yet. */
export function createPeerPasswords(options: PeerPasswordsOptions): PeerPasswords {
  const followed = new Map<string, Followed>();
  const ending = new Set<Promise<void>>();

  function follow(names: ReadonlySet<string>): void {
    for (const [name, { secret, unsubscribe }] of followed) {
      if (names.has(name)) continue;
      followed.delete(name);
      unsubscribe();
      end(secret);
    }
    for (const name of names) {
      if (followed.has(name)) continue;
      const secret = options.follow(name);
      followed.set(name, { secret, unsubscribe: secret.cache.subscribe(options.changed) });
    }
  }

  function end(secret: FollowedSecret): void {
    const done = Promise.resolve(secret[Symbol.asyncDispose]());
    ending.add(done);
    done.finally(() => ending.delete(done));
  }

  /** The Secret's own password, or why there is none. */
  function read({ name, key }: SecretKeyRef): { password: string } | { problem: string } {
    const cache = followed.get(name)?.secret.cache;
    if (cache?.synced !== true) {
      return { problem: `Expected the Secret "${name}" from the API, found no answer yet` };
    }
    const [secret] = cache.list();
    if (secret === undefined) {
      return { problem: `Expected the Secret "${name}", it does not exist` };
    }
    const value = secret.data?.[key];
    if (value === undefined) {
      return { problem: `Expected the key "${key}" in the Secret "${name}", it has none` };
    }
    const password = decode(value);
    return password !== undefined && isPassword(password) ? { password } : {
      problem: `Expected the key "${key}" of the Secret "${name}" to be 1 to 80 printable ASCII ` +
        'characters without blanks, line ends and "?", it is not',
    };
  }

  return {
    resolve(config) {
      const refs = refsOf(config);
      follow(new Set(refs.map(({ name }) => name)));
      const passwords = new Map<string, string>();
      const problems = new Set<string>();
      for (const ref of refs) {
        const found = read(ref);
        const password = "password" in found ? found.password : options.kept.get(idOf(ref));
        if (password !== undefined) passwords.set(idOf(ref), password);
        if ("password" in found) continue;
        const meanwhile = password === undefined
          ? "its peers are left out"
          : "the last one is kept";
        problems.add(`${found.problem}; ${meanwhile}`);
      }
      options.kept.replace(passwords);
      return { passwordOf: (ref) => passwords.get(idOf(ref)), problems: [...problems] };
    },
    async [Symbol.asyncDispose]() {
      follow(new Set());
      await Promise.all(ending);
    },
  };
}

function refsOf(config: VRFNodeConfigSpec | undefined): SecretKeyRef[] {
  const all: readonly (BgpPeerOptions | undefined)[] = [
    config?.peerDefaults,
    ...config?.peers ?? [],
  ];
  return all.flatMap((each) => each?.passwordSecretRef ?? []);
}

/** Neither names nor keys have a slash. */
function idOf({ name, key }: SecretKeyRef): string {
  return `${name}/${key}`;
}

function decode(base64: string): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(base64));
  } catch {
    return undefined;
  }
}
