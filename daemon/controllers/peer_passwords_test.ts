import assert from "node:assert/strict";
import { createLogger } from "../log.ts";
import type { ResourceCache } from "../kube/port.ts";
import type { Secret } from "../resources/core.ts";
import type { VRFNodeConfigSpec } from "../resources/vrf_node_config.ts";
import { type KeptPasswords, openKeptPasswords } from "./kept_passwords.ts";
import { createPeerPasswords, type PeerPasswords } from "./peer_passwords.ts";

/** The API's Secrets, and which of them are followed. */
class Secrets {
  readonly contents = new Map<string, Record<string, string>>();
  readonly followed = new Set<string>();
  readonly #subscribers = new Set<() => void>();
  synced = true;
  changes = 0;

  passwords(kept: KeptPasswords): PeerPasswords {
    return createPeerPasswords({
      follow: (name) => {
        this.followed.add(name);
        return {
          cache: this.#cacheOf(name),
          [Symbol.asyncDispose]: () => {
            this.followed.delete(name);
            return Promise.resolve();
          },
        };
      },
      kept,
      changed: () => this.changes++,
    });
  }

  tell(): void {
    for (const changed of this.#subscribers) changed();
  }

  #cacheOf(name: string): ResourceCache<Secret> {
    const list = (): Secret[] => {
      const data = this.contents.get(name);
      return data === undefined ? [] : [{ metadata: { name }, data }];
    };
    const isSynced = () => this.synced;
    return {
      get synced() {
        return isSynced();
      },
      get: () => list()[0],
      list,
      subscribe: (changed) => {
        this.#subscribers.add(changed);
        return () => this.#subscribers.delete(changed);
      },
      invalid: () => new Map(),
    };
  }
}

const log = createLogger("error", () => {});
const encode = (text: string) => new TextEncoder().encode(text).toBase64();

function config(...names: string[]): VRFNodeConfigSpec {
  const peers = names.map((name, i) => ({
    address: `192.0.2.${i + 1}`,
    passwordSecretRef: { name, key: "password" },
  }));
  return { nodeRef: { name: "n1" }, interfaces: [], peers };
}

async function withFile(test: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(`${directory}/peer_passwords.json`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

const ref = (name: string) => ({ name, key: "password" });

Deno.test("only the Secrets that the settings name are followed, and a change of one is told", async () => {
  await withFile(async (path) => {
    const secrets = new Secrets();
    await using passwords = secrets.passwords(openKeptPasswords(path, log));
    passwords.resolve(undefined);
    assert.deepEqual([...secrets.followed], []);
    secrets.contents.set("tor", { password: encode("s3cret") });
    const { passwordOf, problems } = passwords.resolve(config("tor"));
    assert.deepEqual([...secrets.followed], ["tor"]);
    assert.equal(passwordOf(ref("tor")), "s3cret");
    assert.deepEqual(problems, []);
    secrets.tell();
    assert.equal(secrets.changes, 1);
    passwords.resolve(config("other"));
    assert.deepEqual([...secrets.followed], ["other"]);
    secrets.tell();
    assert.equal(secrets.changes, 2);
  });
});

Deno.test("a new password is taken, and the last one stays while a Secret is missing or cannot be used", async () => {
  await withFile(async (path) => {
    const secrets = new Secrets();
    await using passwords = secrets.passwords(openKeptPasswords(path, log));
    const now = () => passwords.resolve(config("tor"));
    secrets.contents.set("tor", { password: encode("one") });
    assert.equal(now().passwordOf(ref("tor")), "one");
    secrets.contents.set("tor", { password: encode("two") });
    assert.equal(now().passwordOf(ref("tor")), "two");
    const bad = ["", "with blank", "line\n", "help?", "\u00e9", "x".repeat(81)];
    for (const text of bad) {
      secrets.contents.set("tor", { password: encode(text) });
      const { passwordOf, problems } = now();
      assert.equal(passwordOf(ref("tor")), "two");
      assert.match(problems.join(), /"tor".*the last one is kept/);
      assert.ok(text.length < 2 || !problems.join().includes(text), "a password in a message");
    }
    secrets.contents.set("tor", { other: encode("three") });
    assert.match(now().problems.join(), /key "password" in the Secret "tor"/);
    secrets.contents.delete("tor");
    assert.match(now().problems.join(), /does not exist; the last one is kept/);
    assert.equal(now().passwordOf(ref("tor")), "two");
  });
});

Deno.test("a password outlives a restart in a file that nobody else can read, and goes with its reference", async () => {
  await withFile(async (path) => {
    const secrets = new Secrets();
    secrets.contents.set("tor", { password: encode("s3cret") });
    {
      await using passwords = secrets.passwords(openKeptPasswords(path, log));
      passwords.resolve(config("tor"));
    }
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    secrets.synced = false;
    await using passwords = secrets.passwords(openKeptPasswords(path, log));
    const { passwordOf, problems } = passwords.resolve(config("tor"));
    assert.equal(passwordOf(ref("tor")), "s3cret");
    assert.match(problems.join(), /no answer yet/);
    passwords.resolve(undefined);
    assert.ok(!(await Deno.readTextFile(path)).includes("s3cret"));
  });
});

Deno.test("without a password ever the peer is left out, and a damaged file is an empty one", async () => {
  await withFile(async (path) => {
    await Deno.writeTextFile(path, '{"tor/password": 7');
    const secrets = new Secrets();
    await using passwords = secrets.passwords(openKeptPasswords(path, log));
    const { passwordOf, problems } = passwords.resolve(config("tor"));
    assert.equal(passwordOf(ref("tor")), undefined);
    assert.match(problems.join(), /does not exist; its peers are left out/);
  });
});
