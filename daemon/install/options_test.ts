import assert from "node:assert/strict";
import { CodedError } from "../../lib/errors.ts";
import { checkKubeconfig } from "./kubeconfig.ts";
import { type HostWish, type InstallWords, parseInstallWords } from "./options.ts";

const none: InstallWords = {
  systemd: false,
  pluginDir: undefined,
  api: undefined,
  kubeconfig: undefined,
  nodeName: undefined,
  vrfBackend: undefined,
  noRegister: false,
  noConflist: false,
  root: undefined,
  start: false,
  wait: undefined,
};

function host(words: Partial<InstallWords>): HostWish {
  const wish = parseInstallWords({ ...none, systemd: true, ...words });
  assert.equal(wish.what, "host");
  return wish.what === "host" ? wish : assert.fail();
}

function refused(words: Partial<InstallWords>, message: RegExp): void {
  assert.throws(
    () => parseInstallWords({ ...none, ...words }),
    (error) =>
      error instanceof CodedError && error.code === "UsageInvalid" && message.test(error.message),
    JSON.stringify(words),
  );
}

Deno.test("options that contradict each other, or mean nothing, are refused", () => {
  const systemd = true;
  refused({}, /either --systemd or --plugin-dir/);
  refused({ systemd, pluginDir: "/x" }, /either --systemd or --plugin-dir/);
  refused({ pluginDir: "/x", start: true, api: "192.0.2.1" }, /found --api, --start/);
  refused({ systemd, api: "192.0.2.1", kubeconfig: "/k" }, /found both/);
  refused({ systemd, root: "/r", start: true, vrfBackend: "netns" }, /--start without --root/);
  refused({ systemd, root: "r", vrfBackend: "netns" }, /absolute path/);
  refused({ systemd, root: "/r" }, /--vrf-backend device or netns with --root/);
  refused({ systemd, root: "/r", vrfBackend: "auto" }, /--vrf-backend device or netns/);
  refused({ systemd, wait: "9" }, /--wait with --start/);
  for (const wait of ["", "0", "-1", "1m", "1e3"]) {
    refused({ systemd, start: true, wait }, /number of seconds/);
  }
  refused({ systemd, vrfBackend: "link" }, /auto, device or netns, found "link"/);
});

Deno.test("what is no address of one host, or a port that takes privileges, is refused", () => {
  for (const api of ["", "node-a", "0.0.0.0", "::", "[::]:6443", "192.0.2.1/24", "192.0.2.256"]) {
    refused({ systemd: true, api }, /IP address/);
  }
  for (const api of ["192.0.2.1:80", "192.0.2.1:0", "192.0.2.1:65536", "[2001:db8::1]:1023"]) {
    refused({ systemd: true, api }, /port from 1024/);
  }
  assert.deepEqual(host({ api: "192.0.2.1" }).api, { host: "192.0.2.1", port: 6443 });
  assert.deepEqual(host({ api: "192.0.2.1:7443" }).api, { host: "192.0.2.1", port: 7443 });
  assert.deepEqual(host({ api: "2001:db8::1" }).api, { host: "2001:db8::1", port: 6443 });
  assert.deepEqual(host({ api: "[2001:db8::1]:7443" }).api, { host: "2001:db8::1", port: 7443 });
});

Deno.test("a node name is one that the API takes, so that it cannot break out of its line in server.ini", () => {
  for (
    const nodeName of ["", "Node", "a_b", "-a", "a\nregister = false", "a".repeat(254), "a..b"]
  ) {
    refused({ systemd: true, nodeName }, /DNS name/);
  }
  assert.equal(host({ nodeName: "node-a.example" }).nodeName, "node-a.example");
});

Deno.test("what is not asked for stays open: the kernel's backend, the registration that there is", () => {
  const wish = host({ vrfBackend: "auto" });
  assert.deepEqual(
    [wish.vrfBackend, wish.register, wish.conflist, wish.root],
    [undefined, undefined, true, ""],
  );
  assert.equal(host({ root: "/image//", vrfBackend: "device" }).root, "/image");
  assert.equal(host({ root: "/", vrfBackend: "device" }).root, "");
  assert.equal(host({ noRegister: true }).register, false);
  assert.equal(host({ start: true }).waitSeconds, 120);
  assert.equal(host({ start: true, wait: "600" }).waitSeconds, 600);
  assert.deepEqual(parseInstallWords({ ...none, pluginDir: "/x" }), {
    what: "plugin",
    directory: "/x",
  });
});

const kubeconfig = (user: string) => `
current-context: x
clusters: [{name: x, cluster: {server: "https://192.0.2.1:6443"}}]
contexts: [{name: x, context: {cluster: x, user: x}}]
users: [{name: x, user: ${user}}]
`;

Deno.test("a kubeconfig that would not work as a copy is refused, with the way to a whole one", () => {
  for (
    const text of [
      "",
      "- a",
      "a: [",
      kubeconfig("{token: t}").replace("current-context: x", ""),
      kubeconfig("{client-certificate: ./x.crt}"),
      kubeconfig("{tokenFile: token}"),
    ]
  ) {
    assert.throws(
      () => checkKubeconfig(text, "/k"),
      (error) => error instanceof CodedError && /"\/k".*--flatten/s.test(error.message),
      text,
    );
  }
  checkKubeconfig(kubeconfig("{token: t}"), "/k");
  checkKubeconfig(kubeconfig("{client-key: /etc/x.key}"), "/k");
});
