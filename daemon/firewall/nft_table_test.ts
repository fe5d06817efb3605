import assert from "node:assert/strict";
import { readNftGeneration } from "../../lib/netlink/netfilter/generation.ts";
import { renderFirewall, renderVrfFirewall } from "./render.ts";
import type { FirewallModel, FirewallVrf } from "./model.ts";
import { defaultMarkMask } from "./marks.ts";
import { chain, type NftContent, rule } from "./nft_json.ts";
import { createNftTable, NftError } from "./nft_table.ts";
import { createNodeFirewall } from "./node_firewall.ts";

/** A namespace of the test's own, gone when the test ends. */
interface Scratch extends AsyncDisposable {
  readonly path: string;
  nft(...args: readonly string[]): Promise<string>;
}

async function scratchNamespace(): Promise<Scratch> {
  const name = `pr2t-${crypto.randomUUID().slice(0, 8)}`;
  await execute(["ip", "netns", "add", name]);
  return {
    path: `/run/netns/${name}`,
    nft: (...args) => execute(["ip", "netns", "exec", name, "nft", ...args]),
    [Symbol.asyncDispose]: async () => void await execute(["ip", "netns", "del", name]),
  };
}

async function execute(command: readonly string[]): Promise<string> {
  const [program = "", ...args] = command;
  const result = await new Deno.Command(program, { args: [...args] }).output();
  assert.ok(result.success, new TextDecoder().decode(result.stderr));
  return new TextDecoder().decode(result.stdout);
}

function vrf(mark: number): FirewallVrf {
  return {
    mark,
    ingress: [`l3br-${mark}`],
    prefixes: ["10.150.0.0/16"],
    blocks: ["10.150.0.0/26"],
    neighbors: ["10.150.0.0/26"],
    egress: "nat",
  };
}

const model: FirewallModel = {
  outward: ["eth0"],
  markMask: defaultMarkMask,
  vrfs: [vrf(300), vrf(200)],
};
const { signal } = new AbortController();

Deno.test("a model that nft refuses is an error that leaves the table as it was", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createNodeFirewall(namespace.path);
  await firewall.sync(model, signal);
  const before = await namespace.nft("list", "ruleset");
  const bad = {
    ...model,
    vrfs: [1, 2].map((mark) => ({ ...vrf(mark), ingress: ["one-for-two"] })),
  };
  await assert.rejects(() => firewall.sync(bad, signal), NftError);
  assert.equal(await namespace.nft("list", "ruleset"), before);
});

Deno.test("rules that nft refuses leave the table as it was, and no set of theirs", async () => {
  await using namespace = await scratchNamespace();
  const table = createNftTable({ namespace: namespace.path, shared: true });
  const content = renderFirewall(model);
  await table.sync(content, signal);
  const before = await namespace.nft("list", "ruleset");
  const bad: NftContent = {
    sets: renderFirewall({ ...model, outward: ["eth1"] }).sets,
    chains: () => [chain("input", "filter", "input", 0, [rule({ nonsense: true })])],
  };
  await assert.rejects(() => table.sync(bad, signal), NftError);
  assert.equal(await namespace.nft("list", "ruleset"), before);
  assert.deepEqual(await table.sync(content, signal), { changed: true });
  assert.equal(setsIn(await namespace.nft("list", "ruleset")).length, content.sets.length);
});

Deno.test("what a change does not concern stands as it stood, and nothing is left of what it does", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createNodeFirewall(namespace.path);
  await firewall.sync(model, signal);
  const handles = async () =>
    [...(await namespace.nft("-a", "list", "ruleset")).matchAll(
      /(?:set|map|chain) \S+ \{ # handle \d+/g,
    )]
      .map(([text]) => text);
  const before = await handles();
  await firewall.sync({ ...model, outward: ["eth0", "eth1"] }, signal);
  const after = await handles();
  assert.deepEqual(before.filter((each) => !after.includes(each)).map(withoutHandle), [
    "set outward-1",
  ]);
  assert.deepEqual(after.filter((each) => !before.includes(each)).map(withoutHandle), [
    "set outward-2",
  ]);
});

Deno.test("a table of another daemon, of any release, is taken over with all that is in it", async () => {
  await using namespace = await scratchNamespace();
  const table = ["inet", "pyroute2-cni"];
  await namespace.nft("add", "table", ...table);
  await namespace.nft("add", "set", ...table, "inside", "{ type mark ; elements = { 7 } ; }");
  await namespace.nft("add", "chain", ...table, "own", "{ type filter hook input priority 7 ; }");
  await namespace.nft("add", "chain", ...table, "input", "{ type filter hook input priority 7 ; }");
  await namespace.nft("add", "chain", ...table, "jumped");
  await namespace.nft(
    "add",
    "rule",
    ...table,
    "input",
    "meta",
    "mark",
    "@inside",
    "jump",
    "jumped",
  );
  await createNodeFirewall(namespace.path).sync(model, signal);
  const found = await namespace.nft("list", "ruleset");
  await using other = await scratchNamespace();
  await createNodeFirewall(other.path).sync(model, signal);
  assert.equal(found, await other.nft("list", "ruleset"));
  // The next daemon changes nothing of what the rules say.
  await createNodeFirewall(namespace.path).sync(model, signal);
  const anew = await namespace.nft("list", "ruleset");
  assert.deepEqual(parts(anew), parts(found));
  assert.equal(setsIn(anew).length, setsIn(found).length);
});

function setsIn(ruleset: string): string[] {
  return [...ruleset.matchAll(/^\t(?:set|map) (\S+) \{$/gm)].map(([, name = ""]) => name);
}

/** What a ruleset holds, as it is called in the content and in whatever order it was made. */
function parts(ruleset: string): string[] {
  return ruleset.replaceAll(/(?<=\w)-\d+\b(?= |$)/gm, "").replace(/^table .*\n/, "")
    .replace(/\n}\n$/, "").split("\n\n").toSorted();
}

function withoutHandle(text: string): string {
  return text.replace(/ \{ #.*/, "");
}

Deno.test("tenants with the same prefix stand in one set under their own marks", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createNodeFirewall(namespace.path);
  assert.deepEqual(await firewall.sync(model, signal), { changed: true });
  const ruleset = await namespace.nft("list", "ruleset");
  assert.match(ruleset, /"l3br-200" : 0x000000c8/);
  assert.match(ruleset, /0x000000c8 \. 10\.150\.0\.0\/16/);
  assert.match(ruleset, /0x0000012c \. 10\.150\.0\.0\/16/);
  assert.match(ruleset, /oifname @outward-1 .* masquerade/);
  assert.match(
    ruleset,
    /ct original zone set iifname map \{ "l3br-200" : 200, "l3br-300" : 300 \}/,
  );
});

Deno.test("IPv6 is masqueraded outside where that is asked for, and not otherwise", async () => {
  await using namespace = await scratchNamespace();
  const dual = {
    ...model,
    vrfs: model.vrfs.map((vrf) => ({ ...vrf, prefixes: [...vrf.prefixes, "fd00:150::/48"] })),
  };
  const firewall = createNodeFirewall(namespace.path);
  await firewall.sync(dual, signal);
  const without = await namespace.nft("list", "ruleset");
  assert.match(without, /0x000000c8 \. fd00:150::\/48/);
  assert.match(without, /0x0000012c \. fd00:150::\/48/);
  const outwards = /oifname @outward-1 .* ip6 saddr @inside6-1 .* masquerade/;
  assert.doesNotMatch(without, outwards);
  await firewall.sync({ ...dual, nat66: true }, signal);
  assert.match(await namespace.nft("list", "ruleset"), outwards);
  await firewall.sync(dual, signal);
  assert.equal(await namespace.nft("list", "ruleset"), without);
});

Deno.test("an unchanged model writes nothing, and a table changed by hand is restored", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createNodeFirewall(namespace.path);
  await firewall.sync(model, signal);
  assert.deepEqual(await firewall.sync(model, signal), { changed: false });
  const before = await namespace.nft("list", "ruleset");
  await namespace.nft("flush", "chain", "inet", "pyroute2-cni", "postrouting");
  assert.deepEqual(await firewall.sync(model, signal), { changed: true });
  assert.deepEqual(parts(await namespace.nft("list", "ruleset")), parts(before));
  await namespace.nft("delete", "table", "inet", "pyroute2-cni");
  assert.deepEqual(await firewall.sync(model, signal), { changed: true });
});

Deno.test("what others do to their own tables makes no difference", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createNodeFirewall(namespace.path);
  await firewall.sync(model, signal);
  await namespace.nft("add", "table", "inet", "kube-proxy");
  const { id } = readNftGeneration(namespace.path);
  assert.deepEqual(await firewall.sync(model, signal), { changed: false });
  assert.deepEqual(await firewall.sync(model, signal), { changed: false });
  assert.equal(readNftGeneration(namespace.path).id, id);
});

Deno.test("every commit raises the generation by one, and each namespace has its own", async () => {
  await using one = await scratchNamespace();
  await using other = await scratchNamespace();
  const before = readNftGeneration(one.path);
  await one.nft("add", "table", "inet", "a");
  await one.nft("list", "ruleset");
  assert.deepEqual(readNftGeneration(one.path), { ...before, id: before.id + 1 });
  assert.notEqual(readNftGeneration(other.path).namespace, before.namespace);
});

Deno.test("a VRF that is gone leaves nothing in the table, and removal leaves no table", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createNodeFirewall(namespace.path);
  await firewall.sync(model, signal);
  await firewall.sync({ ...model, vrfs: [] }, signal);
  const ruleset = await namespace.nft("list", "ruleset");
  assert.ok(!ruleset.includes("10.150.0.0") && !ruleset.includes("l3br"), ruleset);
  await firewall.remove(signal);
  await firewall.remove(signal);
  assert.equal(await namespace.nft("list", "ruleset"), "");
});

Deno.test("other tables are never touched", async () => {
  await using namespace = await scratchNamespace();
  await namespace.nft("add", "table", "inet", "someone-else");
  const firewall = createNodeFirewall(namespace.path);
  await firewall.sync(model, signal);
  await firewall.remove(signal);
  assert.match(await namespace.nft("list", "ruleset"), /table inet someone-else/);
});

Deno.test("a VRF's namespace gets its table once, again when it was changed or made anew, and failures are told", async () => {
  await using namespace = await scratchNamespace();
  const firewall = createNodeFirewall();
  const leg = {
    hostLink: "host",
    hostPrefixes: ["169.254.0.0/16", "fd26:492c:1670::/64"],
    gateways: ["10.150.0.1", "10.150.0.65", "fd00:150::1"],
  };
  const spaces = [{ path: namespace.path, ...leg }];
  const generation = () => readNftGeneration(namespace.path).id;
  assert.deepEqual(await firewall.syncNamespaces(spaces, signal), []);
  const ruleset = await namespace.nft("list", "ruleset");
  assert.match(ruleset, /iifname "host" ip saddr 169\.254\.0\.0\/16 snat ip to 10\.150\.0\.1\n/);
  assert.match(ruleset, /iifname "host" ip6 saddr fd26:492c:1670::\/64 snat ip6 to fd00:150::1\n/);
  const before = generation();
  await firewall.syncNamespaces(spaces, signal);
  assert.equal(generation(), before);
  await namespace.nft("flush", "ruleset");
  await firewall.syncNamespaces(spaces, signal);
  assert.equal(await namespace.nft("list", "ruleset"), ruleset);
  await firewall.syncNamespaces([{ ...leg, path: namespace.path, gateways: [] }], signal);
  assert.doesNotMatch(await namespace.nft("list", "ruleset"), /snat/);
  const missing = [{ path: `${namespace.path}-gone`, ...leg }];
  const problems = await firewall.syncNamespaces([...missing, ...spaces], signal);
  assert.equal(problems.length, 1);
});

Deno.test("a table that somebody changed between commit and look is committed again", async () => {
  await using namespace = await scratchNamespace();
  const table = createNftTable({ namespace: namespace.path, shared: false });
  const content = renderVrfFirewall({ hostLink: "host", hostPrefixes: [], gateways: [] });
  await Promise.all([
    table.sync(content, signal),
    namespace.nft("add", "table", "inet", "someone-else"),
  ]);
  await namespace.nft("delete", "table", "inet", "pyroute2-cni");
  await table.sync(content, signal);
  assert.match(await namespace.nft("list", "ruleset"), /table inet pyroute2-cni/);
});
