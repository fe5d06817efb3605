import assert from "node:assert/strict";
import { ConfigError, parseConfig } from "./config.ts";
import { IniError } from "./ini.ts";

Deno.test("an empty configuration gives the documented defaults", () => {
  const config = parseConfig("");
  assert.equal(config.api.socket_path_api, "/var/run/pyroute2/api");
  assert.equal(config.default.vrf, 42);
  assert.equal(config.default.prefix, "10.244.0.0");
  assert.equal(config.default.service_vrf_max, 512);
  assert.equal(config.readiness.port, 24800);
  assert.equal(config.node.vrf_backend, "auto");
});

Deno.test("a configuration of an existing installation is accepted unchanged", () => {
  const config = parseConfig(`
    [api]
    socket_path_api = /var/run/pyroute2/api
    socket_path_fd = /var/run/pyroute2/fdpass

    [default]
    prefix = 10.244.0.0
    prefixlen = 16
    system_vrf_type = l3vni

    [logging]
    level = debug
  `);
  assert.equal(config.logging.level, "debug");
});

Deno.test("every key at fault is named with its section", () => {
  assert.throws(
    () => parseConfig("[default]\nvrff = 1\nprefixlen = many\n[extra]\na = b\n"),
    (error) =>
      error instanceof ConfigError && error.message.includes('"default.vrff"') &&
      error.message.includes('"default.prefixlen"') && error.message.includes('"extra"'),
  );
});

Deno.test("a number outside its range, or written in another way, is refused", () => {
  for (const port of ["0", "65536", "-1", "1e3", "0x10", "", "24800 "]) {
    const text = `[readiness]\nport = ${port}\n`;
    if (port.trim() === "24800") assert.equal(parseConfig(text).readiness.port, 24800);
    else assert.throws(() => parseConfig(text), ConfigError, port);
  }
});

Deno.test("a prefix with host bits and a block shorter than the prefix are refused", () => {
  assert.throws(() => parseConfig("[default]\nprefix = 10.244.0.1\n"), /bits behind its length/);
  assert.throws(() => parseConfig("[default]\nipblocklen = 12\n"), /ipblocklen/);
  assert.throws(() => parseConfig("[default]\nprefix = 10.244.0\n"), /expected an IPv4 address/);
});

Deno.test("the default domain has IPv6 where a prefix is given, and IPv4 unless that is turned off", () => {
  const given = (text: string) => parseConfig(`[default]\n${text}`).default;
  assert.equal(given("").prefix6, undefined);
  const { prefix6, prefixlen6, ipblocklen6 } = given("prefix6 = FD00:244::\nipblocklen6 = 112\n");
  assert.deepEqual([prefix6, prefixlen6, ipblocklen6], ["fd00:244::", 48, 112]);
  assert.equal(given("prefix = none\nprefix6 = fd00:244::\n").prefix, "none");
  for (
    const [text, message] of [
      ["prefix = none\n", /"default\.prefix6" is not given/],
      ["prefix6 = fd00:244::1\n", /"default\.prefix6" .* bits behind its length 48/],
      ["prefix6 = fd00::\nipblocklen6 = 47\n", /"default\.ipblocklen6" must be at least/],
      ["prefix6 = 10.244.0.0\n", /expected an IPv6 address/],
      ["prefix6 = none\n", /expected an IPv6 address/],
    ] as const
  ) {
    assert.throws(() => given(text), message, text);
  }
});

Deno.test("IPv6 is masqueraded only where the node's administrator says so", () => {
  assert.equal(parseConfig("").node.nat66, false);
  assert.equal(parseConfig("[node]\nnat66 = true\n").node.nat66, true);
});

Deno.test("a line that is no INI is refused with its number", () => {
  assert.throws(
    () => parseConfig("[api]\nhello\n"),
    (error) => error instanceof IniError && /line 2/.test(error.message),
  );
  assert.throws(() => parseConfig("a = b\n"), IniError);
  assert.throws(() => parseConfig("[logging]\nlevel = info\nlevel = warn\n"), /given twice/);
  assert.throws(() => parseConfig("[logging\n"), IniError);
});

Deno.test("plugin types are a list of names; a path is none", () => {
  assert.deepEqual(parseConfig("").cni.allowed_plugins, [
    "pyroute2-cni-plugin",
    "portmap",
    "bandwidth",
    "tuning",
    "loopback",
  ]);
  const given = parseConfig("[cni]\nallowed_plugins = pyroute2-cni-plugin,  portmap,\n");
  assert.deepEqual(given.cni.allowed_plugins, ["pyroute2-cni-plugin", "portmap"]);
  assert.deepEqual(parseConfig("[cni]\nallowed_plugins =\n").cni.allowed_plugins, []);
  for (const bad of ["../sh", "a/b", "a b", ".."]) {
    assert.throws(() => parseConfig(`[cni]\nallowed_plugins = ${bad}\n`), /allowed_plugins/);
  }
});

Deno.test("marks keep clear of kube-proxy's bits unless another mask is given, in hexadecimal and wide enough", () => {
  assert.equal(parseConfig("").node.mark_mask, 0xffff3fff);
  assert.equal(parseConfig("[node]\nmark_mask = 0x00FF0000\n").node.mark_mask, 0xff0000);
  for (const bad of ["0x7f", "65535", "0x1ffffffff", "0x", "-0xffff", "0xfff0 "]) {
    const text = `[node]\nmark_mask = ${bad}\n`;
    if (bad.endsWith(" ")) assert.equal(parseConfig(text).node.mark_mask, 0xfff0);
    else assert.throws(() => parseConfig(text), /mark_mask/, bad);
  }
});

Deno.test("the addresses of Services are networks, and none unless given", () => {
  const given = (text: string) =>
    parseConfig(`[default]\nservice_cidrs = ${text}\n`).default.service_cidrs;
  assert.deepEqual(parseConfig("").default.service_cidrs, []);
  assert.deepEqual(given("10.96.0.0/12, 172.20.0.0/16"), ["10.96.0.0/12", "172.20.0.0/16"]);
  for (const bad of ["10.96.0.1/12", "10.96.0.0", "0.0.0.0/0", "x/8", "10.96.0.0/33"]) {
    assert.throws(() => given(bad), /service_cidrs/, bad);
  }
});
