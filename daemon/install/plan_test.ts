import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";
import { renderConflist } from "../controllers/conflist.ts";
import { CodedError } from "../../lib/errors.ts";
import { NETNS_DIR } from "../../lib/sys/named_netns.ts";
import { isBundle, launcherLines, withRuntimeIn } from "./launcher.ts";
import type { HostWish } from "./options.ts";
import { type HostFacts, planHost } from "./plan.ts";
import { parseRecord, renderRecord } from "./record.ts";
import { planRemoval } from "./removal_plan.ts";
import { renderReport } from "./report.ts";
import { renderServerIni } from "./server_ini.ts";
import { parseUnitState } from "./service_manager.ts";

const wish: HostWish = {
  what: "host",
  api: { host: "192.0.2.11", port: 6443 },
  kubeconfig: undefined,
  nodeName: undefined,
  vrfBackend: undefined,
  register: undefined,
  conflist: true,
  root: "",
  start: false,
  waitSeconds: 120,
};

const bare: HostFacts = {
  record: undefined,
  serverIni: undefined,
  frr: undefined,
  frrEnabled: undefined,
  kernelBackend: "netns",
  conflists: new Map(),
};

function contentOf(plan: ReturnType<typeof planHost>, path: string): string {
  const file = [...plan.files, ...plan.frr, ...plan.conflist].find((each) => each.path === path);
  return file?.content ?? assert.fail(`${path} is not written`);
}

const ini = "/etc/pyroute2-cni/server.ini";
const conflist = "/etc/cni/net.d/05-pyroute2.conflist";

Deno.test("nothing tells which API is used: refused; a switch between the two: refused", () => {
  const refused = (wish: HostWish, facts: HostFacts, message: RegExp) =>
    assert.throws(
      () => planHost(wish, facts),
      (error) => error instanceof CodedError && message.test(error.message),
    );
  refused({ ...wish, api: undefined }, bare, /found neither/);
  const { record } = planHost(wish, bare);
  refused(
    { ...wish, api: undefined, kubeconfig: "/k" },
    { ...bare, record },
    /its own API, found --kubeconfig; uninstall it first/,
  );
  const other = planHost({ ...wish, api: undefined, kubeconfig: "/k" }, bare).record;
  refused(wish, { ...bare, record: other }, /the API that it uses, found --api/);
  // An upgrade need not say it again.
  assert.deepEqual(planHost({ ...wish, api: undefined }, { ...bare, record }).api, wish.api);
});

Deno.test("a server.ini that cannot be used is refused before anything is planned", () => {
  assert.throws(
    () => planHost(wish, { ...bare, serverIni: "[default]\nvrff = 1\n" }),
    /"default.vrff"/,
  );
});

Deno.test("the configuration that is written names backend and kubeconfig, and the daemon takes it", () => {
  const plan = planHost({ ...wish, nodeName: "node-a" }, bare);
  const { node, kubernetes } = parseConfig(contentOf(plan, ini));
  assert.deepEqual([node.name, node.vrf_backend, node.register], ["node-a", "netns", true]);
  assert.equal(kubernetes.kubeconfig, "/var/lib/pyroute2-cni/api/kubeconfig");
  const joined = planHost({ ...wish, api: undefined, kubeconfig: "/k", register: false }, bare);
  const other = parseConfig(contentOf(joined, ini));
  assert.equal(other.kubernetes.kubeconfig, "/etc/pyroute2-cni/kubeconfig");
  assert.equal(other.node.register, false);
});

Deno.test("every key of the configuration stands in server.ini, with the default that holds", () => {
  const settings = {
    nodeName: undefined,
    vrfBackend: undefined,
    register: false,
    kubeconfig: "/k",
  };
  const text = renderServerIni(settings);
  const defaults = parseConfig("");
  const whole = parseConfig(text.replace(/^#(?=[a-z0-9_]+ = )/gm, ""));
  assert.deepEqual(whole, {
    ...defaults,
    default: { ...defaults.default, prefix6: "fd00:244::", service_cidrs: ["10.96.0.0/12"] },
    node: { ...defaults.node, name: "node-a" },
    kubernetes: { kubeconfig: "/k" },
  });
  for (const [section, keys] of Object.entries(whole)) {
    const body = text.split(`[${section}]`)[1]?.split(/^\[/m)[0] ?? "";
    for (const key of Object.keys(keys)) assert.match(body, new RegExp(`^#?${key} = `, "m"), key);
  }
});

Deno.test("an upgrade keeps what the first installation was told", () => {
  const first = planHost({ ...wish, nodeName: "node-a", register: false }, bare);
  const facts = { ...bare, record: first.record, serverIni: contentOf(first, ini) };
  const second = planHost({ ...wish, api: undefined }, { ...facts, kernelBackend: "device" });
  assert.equal(contentOf(second, ini), contentOf(first, ini));
  assert.equal(second.backend, "netns");
  assert.deepEqual(second.record, first.record);
});

Deno.test("a server.ini that somebody has edited is kept, and what would have been is offered once", () => {
  const first = planHost(wish, bare);
  const edited = `${contentOf(first, ini)}\n[bgp]\nasn = 65001\n`.replace(
    "[bgp]\n# The autonomous",
    "# The autonomous",
  );
  const facts = { ...bare, record: first.record, serverIni: edited };
  const second = planHost({ ...wish, nodeName: "node-b" }, facts);
  assert.equal(second.config.bgp.asn, 65001);
  assert.match(second.notes.join(), /was edited and is kept/);
  assert.match(contentOf(second, `${ini}.new`), /^name = node-b$/m);
  assert.ok(!second.files.some(({ path }) => path === ini));
  const third = planHost({ ...wish, nodeName: "node-b" }, { ...facts, record: second.record });
  assert.ok(!third.files.some(({ path }) => path.startsWith(ini)));
  assert.deepEqual(third.notes.filter((note) => note.includes("server.ini")), []);
});

Deno.test("units follow the configuration: sockets, folders, a port that takes a privilege", () => {
  const serverIni = `
    [api]
    socket_path_api = /srv/cni/api
    [default]
    cni_config_dir = /etc/kubernetes/cni
    [readiness]
    port = 80
    [node]
    vrf_backend = device
    [frr]
    socket_path = /run/other/reload.sock
  `;
  const plan = planHost(wish, { ...bare, serverIni });
  const daemon = contentOf(plan, "/etc/systemd/system/pyroute2-cni-daemon.service");
  assert.match(daemon, /^ReadWritePaths=\/run \/srv\/cni \/etc\/kubernetes\/cni$/m);
  assert.match(daemon, /^CapabilityBoundingSet=.*CAP_NET_BIND_SERVICE/m);
  const agent = contentOf(plan, "/etc/systemd/system/pyroute2-cni-frr-agent.service");
  assert.match(agent, /--socket \/run\/other\/reload\.sock$/m);
  assert.match(
    contentOf(plan, "/etc/kubernetes/cni/05-pyroute2.conflist"),
    /"socketPathApi": "\/srv\/cni\/api"/,
  );
  assert.ok(!plan.files.some(({ path }) => path.includes("tmpfiles")));
});

Deno.test("the folder that is made at each boot is the one where VRFs get their names", () => {
  const text = contentOf(planHost(wish, bare), "/etc/tmpfiles.d/pyroute2-cni.conf");
  assert.match(text, new RegExp(`^d ${NETNS_DIR} 0755 root root -$`, "m"));
});

Deno.test("the daemon's unit has no mount namespace of its own where VRFs are mounts", () => {
  // Those of systemd.exec(5) that give one: with any of them FRR would not see the VRFs.
  const needing = [
    ...["ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts"],
    ...["ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "ProtectProc"],
    ...["ProtectControlGroups", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths"],
    ...["BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "MountFlags", "ProcSubset"],
    ...["RootDirectory", "RootImage", "PrivateIPC", "DynamicUser", "LogNamespace"],
  ];
  const unit = (kernelBackend: "device" | "netns") =>
    contentOf(
      planHost(wish, { ...bare, kernelBackend }),
      "/etc/systemd/system/pyroute2-cni-daemon.service",
    );
  const has = (text: string) => needing.filter((name) => text.includes(`\n${name}=`));
  assert.deepEqual(has(unit("netns")), []);
  assert.ok(has(unit("device")).length > 5);
});

Deno.test("a conflist is written for a host with its own API alone, and never over another's", () => {
  assert.deepEqual(planHost(wish, bare).conflist.map(({ path }) => path), [conflist]);
  const none = (wish: HostWish, facts: HostFacts) => {
    const plan = planHost(wish, facts);
    assert.deepEqual(plan.conflist, []);
    return plan.notes.filter((note) => note.includes("/etc/cni")).join();
  };
  none({ ...wish, conflist: false }, bare);
  none({ ...wish, api: undefined, kubeconfig: "/k" }, bare);
  const managed = renderConflist({ plugins: [{ type: "pyroute2-cni-plugin" }] });
  none(wish, { ...bare, conflists: new Map([["10-chosen.conflist", managed]]) });
  const edited = new Map([["05-pyroute2.conflist", '{"mine": true}']]);
  assert.match(none(wish, { ...bare, conflists: edited }), /is kept/);
  const other = planHost(wish, { ...bare, conflists: new Map([["00-flannel.conf", "{}"]]) });
  assert.match(other.notes.join(), /takes "\/etc\/cni\/net.d\/00-flannel.conf" before/);
});

Deno.test("a removal takes the lists that name the plugin, and tells of those that somebody else wrote", () => {
  const { record } = planHost(wish, bare);
  const managed = renderConflist({ plugins: [{ type: "pyroute2-cni-plugin" }] });
  const conflists = new Map([
    ["05-pyroute2.conflist", '{"plugins":[{"type":"pyroute2-cni-plugin"}]}'],
    ["20-chosen.conflist", managed],
    ["30-mine.conflist", '{"plugins":[{"type":"pyroute2-cni-plugin"}]}'],
    ["40-flannel.conflist", '{"plugins":[{"type":"flannel"}]}'],
  ]);
  const config = parseConfig("");
  const plan = planRemoval({ config, record, conflists, keepData: false });
  assert.deepEqual(plan.conflists, [conflist, "/etc/cni/net.d/20-chosen.conflist"]);
  assert.match(plan.notes.join(), /30-mine/);
  assert.equal(plan.notes.length, 1);
  for (const path of [ini, "/run/pyroute2/journal.db", "/var/run/pyroute2/api"]) {
    assert.ok(plan.files.includes(path), path);
  }
  assert.ok(plan.trees.includes("/var/lib/pyroute2-cni/api"));
  const kept = planRemoval({ config, record, conflists, keepData: true });
  assert.deepEqual([kept.files.includes(ini), kept.trees], [false, []]);
});

Deno.test("a record is read as it was written; anything else is refused by name", () => {
  const { record } = planHost(wish, bare);
  assert.deepEqual(parseRecord(renderRecord(record), "/r"), record);
  for (const text of ["", "{}", "[]", '{"directories":["relative"]}']) {
    assert.throws(() => parseRecord(text, "/r"), /"\/r".*move it away/);
  }
});

Deno.test("a bundle looks for its runtime beside itself and in the folder it is given, not where it was built", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);
  const bundle = bytes(
    `${launcherLines(["--allow-ffi"], "/home/it's/dist", "run('it')")}\nvar \u{1f600} = 1;\n`,
  );
  assert.ok(isBundle(bundle));
  const moved = new TextDecoder().decode(withRuntimeIn(bundle, "/usr/local/lib/x"));
  assert.equal(
    moved,
    `${launcherLines(["--allow-ffi"], "/usr/local/lib/x", "run('it')")}\nvar \u{1f600} = 1;\n`,
  );
  assert.equal(isBundle(bytes("\x7fELF")), false);
  assert.deepEqual(withRuntimeIn(bytes("#!/bin/sh\nexit\n"), "/x"), bytes("#!/bin/sh\nexit\n"));
});

Deno.test("what systemctl shows of a unit is read, with its start to the millisecond", () => {
  const state = parseUnitState(
    "LoadState=loaded\nActiveState=active\nUnitFileState=enabled\nNeedDaemonReload=no\n" +
      "ExecMainStartTimestamp=Wed 2026-11-25 22:54:26.123456 UTC\n",
  );
  assert.deepEqual(state, {
    known: true,
    active: true,
    enabled: true,
    stale: false,
    startedAt: Date.UTC(2026, 10, 25, 22, 54, 26, 123),
  });
  const absent = parseUnitState(
    "LoadState=not-found\nActiveState=inactive\nUnitFileState=\nNeedDaemonReload=no\nExecMainStartTimestamp=n/a\n",
  );
  assert.deepEqual(
    [absent.known, absent.active, absent.enabled, absent.startedAt],
    [false, false, false, undefined],
  );
});

Deno.test("a report says what was done, or would be, and a script gets the same as one object", () => {
  const changes = [{ action: "create", what: "/a" }, { action: "restart", what: "b" }] as const;
  const report = { changes, notes: ["n"], next: ["c"], dryRun: false };
  assert.equal(
    renderReport(report, false),
    "created /a\nrestarted b\nnote: n\nleft to do:\n  c",
  );
  assert.match(
    renderReport({ ...report, dryRun: true }, false),
    /^would create \/a\nwould restart/,
  );
  assert.equal(renderReport({ changes: [], dryRun: false }, false), "Nothing to change");
  assert.deepEqual(JSON.parse(renderReport(report, true)), {
    changed: true,
    dryRun: false,
    changes,
    notes: ["n"],
    next: ["c"],
  });
});
