import assert from "node:assert/strict";
import { type FirewallModel } from "./firewall.ts";
import { createFirewall, NftError } from "./nft.ts";

/** A namespace of the test's own, gone when the test ends. */
async function scratchNamespace(): Promise<{ nft: string[] } & AsyncDisposable> {
  const name = `pr2t-${crypto.randomUUID().slice(0, 8)}`;
  await execute(["ip", "netns", "add", name]);
  return {
    nft: ["ip", "netns", "exec", name, "nft"],
    [Symbol.asyncDispose]: async () => void await execute(["ip", "netns", "del", name]),
  };
}

async function execute(command: readonly string[]): Promise<string> {
  const [program = "", ...args] = command;
  const result = await new Deno.Command(program, { args: [...args] }).output();
  assert.ok(result.success, new TextDecoder().decode(result.stderr));
  return new TextDecoder().decode(result.stdout);
}

const model: FirewallModel = {
  defaultLink: "eth0",
  vrfs: [
    { vrf: 300, ingress: ["l3br-300"], prefixes: ["10.150.0.0/16"] },
    { vrf: 200, ingress: ["l3br-200"], prefixes: ["10.150.0.0/16"] },
  ],
};
const signal = new AbortController().signal;

Deno.test("a model that nft refuses is an error that leaves the table as it was", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createFirewall(namespace.nft);
  await firewall.sync(model, signal);
  const before = await execute([...namespace.nft, "list", "ruleset"]);
  const bad = { ...model, vrfs: [{ vrf: 1, ingress: ["a"], prefixes: ["10.0.0.0/99"] }] };
  await assert.rejects(() => firewall.sync(bad, signal), NftError);
  assert.equal(await execute([...namespace.nft, "list", "ruleset"]), before);
});

Deno.test("tenants with the same prefix stand in one set under their own marks", async () => {
  await using namespace = await scratchNamespace();
  assert.deepEqual(await createFirewall(namespace.nft).sync(model, signal), { changed: true });
  const ruleset = await execute([...namespace.nft, "list", "ruleset"]);
  assert.match(ruleset, /"l3br-200" : 0x000000c8/);
  assert.match(ruleset, /0x000000c8 \. 10\.150\.0\.0\/16/);
  assert.match(ruleset, /0x0000012c \. 10\.150\.0\.0\/16/);
  assert.match(ruleset, /oifname "eth0" .* masquerade/);
});

Deno.test("an unchanged model writes nothing, and a table changed by hand is restored", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createFirewall(namespace.nft);
  await firewall.sync(model, signal);
  assert.deepEqual(await firewall.sync(model, signal), { changed: false });
  const before = await execute([...namespace.nft, "list", "ruleset"]);
  const flush = ["flush", "chain", "inet", "pyroute2-cni", "postrouting"];
  await execute([...namespace.nft, ...flush]);
  assert.deepEqual(await firewall.sync(model, signal), { changed: true });
  assert.equal(await execute([...namespace.nft, "list", "ruleset"]), before);
  await execute([...namespace.nft, "delete", "table", "inet", "pyroute2-cni"]);
  assert.deepEqual(await firewall.sync(model, signal), { changed: true });
});

Deno.test("a VRF that is gone leaves nothing in the table, and removal leaves no table", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createFirewall(namespace.nft);
  await firewall.sync(model, signal);
  await firewall.sync({ defaultLink: "eth0", vrfs: [] }, signal);
  const ruleset = await execute([...namespace.nft, "list", "ruleset"]);
  assert.ok(!ruleset.includes("10.150.0.0") && !ruleset.includes("l3br"), ruleset);
  await firewall.remove(signal);
  await firewall.remove(signal);
  assert.equal(await execute([...namespace.nft, "list", "ruleset"]), "");
});

Deno.test("other tables are never touched", async () => {
  await using namespace = await scratchNamespace();
  await execute([...namespace.nft, "add", "table", "inet", "someone-else"]);
  const firewall = createFirewall(namespace.nft);
  await firewall.sync(model, signal);
  await firewall.remove(signal);
  assert.match(await execute([...namespace.nft, "list", "ruleset"]), /table inet someone-else/);
});
