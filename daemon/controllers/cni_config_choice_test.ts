import assert from "node:assert/strict";
import type { CNIConfig, CNIConfigSpec } from "../resources/cni_config.ts";
import { chooseCniConfig, cniConfigProblem } from "./cni_config_choice.ts";

const allowed = ["pyroute2-cni-plugin", "portmap"];
const plugins = [{ type: "pyroute2-cni-plugin" }];

function spec(given: Partial<CNIConfigSpec> = {}): CNIConfigSpec {
  return { fileName: "05-a.conflist", enabled: true, priority: 0, plugins, ...given };
}

function config(name: string, given: Partial<CNIConfigSpec>, second = 0): CNIConfig {
  const creationTimestamp = `2026-11-24T00:00:0${second}Z`;
  return { metadata: { name, creationTimestamp }, spec: spec(given) };
}

function reasonOf(given: Partial<CNIConfigSpec>): string | undefined {
  return cniConfigProblem(spec(given), allowed)?.reason;
}

Deno.test("a plugin that is not allowed is refused, wherever it hides", () => {
  const bad: unknown[] = [
    { type: "bridge" },
    { type: "../../bin/sh" },
    { type: "portmap/../sh" },
    { type: ["portmap"] },
    { type: "" },
    {},
    { type: "portmap", ipam: { type: "host-local" } },
    { type: "portmap", ipam: { ranges: [] } },
    { type: "portmap", delegate: { type: "sh" } },
    { type: "portmap", delegates: [{ type: "portmap" }, { type: "sh" }] },
    { type: "portmap", options: { deeper: [{ delegate: { type: "sh" } }] } },
    { type: "portmap", delegate: { type: "portmap", ipam: { type: "sh" } } },
  ];
  for (const plugin of bad) {
    const given = [...plugins, plugin as Record<string, unknown>];
    assert.equal(reasonOf({ plugins: given }), "PluginNotAllowed", JSON.stringify(plugin));
  }
});

Deno.test("a plugin that is told where to write files is refused", () => {
  for (const plugin of [{ dataDir: "/etc" }, { ipam: { type: "portmap", dataDir: "/" } }]) {
    assert.equal(reasonOf({ plugins: [{ type: "portmap", ...plugin }] }), "PathNotAllowed");
  }
});

Deno.test("a key that differs from a telling one in case alone is refused: Go would take it for that", () => {
  const bad = [
    { Type: "sh" },
    { TYPE: "portmap" },
    { IPAM: { type: "sh" } },
    { "delegate\u017f": [{ type: "sh" }] },
    { datadir: "/etc" },
    { ipam: { type: "portmap", tYpe: "sh" } },
  ];
  for (const plugin of bad) {
    const given = [{ type: "portmap", ...plugin }];
    assert.equal(reasonOf({ plugins: given }), "KeyAmbiguous", JSON.stringify(plugin));
  }
});

Deno.test("a list without plugins, or under a name that runtimes read otherwise, is refused", () => {
  assert.equal(reasonOf({ plugins: [] }), "NoPlugins");
  for (
    const fileName of ["a.conf", "a", "conflist", "a.conflist.bak", "../a.conflist", "a/b.conflist"]
  ) {
    assert.equal(reasonOf({ fileName }), "FileNameInvalid", fileName);
  }
});

Deno.test("allowed plugins with their options are accepted", () => {
  const given = [
    ...plugins,
    { type: "portmap", capabilities: { portMappings: true }, ipam: {}, snat: true },
  ];
  assert.equal(reasonOf({ plugins: given }), undefined);
});

Deno.test("the highest priority wins, then age, then the name; what is off, going or refused never does", () => {
  const choose = (...configs: CNIConfig[]) =>
    chooseCniConfig(configs, allowed).active?.metadata.name;
  assert.equal(choose(), undefined);
  assert.equal(choose(config("a", { priority: 1 }), config("b", { priority: 2 })), "b");
  assert.equal(choose(config("a", {}, 2), config("b", {}, 1)), "b");
  assert.equal(choose(config("b", {}), config("a", {})), "a");
  assert.equal(choose(config("a", {}), config("b", { priority: 9, enabled: false })), "a");
  assert.equal(choose(config("a", {}), config("b", { priority: 9, plugins: [] })), "a");
  const going = config("b", { priority: 9 });
  const metadata = { ...going.metadata, deletionTimestamp: "2026-11-24T01:00:00Z" };
  assert.equal(choose(config("a", {}), { ...going, metadata }), "a");
  assert.equal(chooseCniConfig([{ ...going, metadata }], allowed).wanted, false);
  const refused = chooseCniConfig([config("a", { plugins: [] })], allowed);
  assert.deepEqual([refused.active, refused.wanted], [undefined, true]);
});
