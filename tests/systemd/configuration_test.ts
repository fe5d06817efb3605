/** Keys of server.ini on a host that was installed with a file in which they differ from their defaults. */
import assert from "node:assert/strict";
import { parseConfig } from "../../daemon/config.ts";
import { until } from "../lab/process.ts";
import { backend } from "../lab/backend_test_case.ts";
import { attach, callPlugin, install, machineTest, program, report } from "./host.ts";

const serverIni = `
[api]
socket_path_api = /run/elsewhere/api
socket_path_fd = /run/elsewhere/fd
[default]
vrf = 77
prefix = 10.77.0.0
prefixlen = 18
ipblocklen = 28
system_vrf_type = l2vni
service_vrf_max = 50
gc_interval_seconds = 2
fw_interval_seconds = 1
cni_config_dir = /etc/elsewhere/net.d
[cni]
allowed_plugins = pyroute2-cni-plugin
[readiness]
host = 127.0.0.2
port = 24900
[logging]
level = error
[node]
name = node-x
vrf_backend = ${backend}
state_dir = /run/elsewhere-state
register = true
[kubernetes]
kubeconfig = /var/lib/pyroute2-cni/api/kubeconfig
[bgp]
asn = 65077
[frr]
socket_path = /run/frr/elsewhere.sock
`;

const sockets = { socketPathApi: "/run/elsewhere/api", socketPathFd: "/run/elsewhere/fd" };
const patience = 60;

Deno.test("each value of the file is another one than the default", () => {
  const [given, defaults] = [parseConfig(serverIni), parseConfig("")].map((config) =>
    new Map(
      Object.entries(config).flatMap(([section, keys]) =>
        Object.entries(keys).map(([key, value]) => [`${section}.${key}`, JSON.stringify(value)])
      ),
    )
  );
  let section = "";
  for (const line of serverIni.trim().split("\n")) {
    section = /^\[(.*)\]$/.exec(line)?.[1] ?? section;
    const key = `${section}.${/^(\S+) = /.exec(line)?.[1]}`;
    if (!line.startsWith("[")) assert.notEqual(given?.get(key), defaults?.get(key), key);
  }
});

machineTest("the keys of an edited server.ini are used", async (machine) => {
  const shell = (script: string) => machine.expect(["sh", "-c", script]);
  await machine.expect(["sh", "-c", "mkdir /run/pods /etc/pyroute2-cni"]);
  await machine.expect(["sh", "-c", "cat > /etc/pyroute2-cni/server.ini"], { stdin: serverIni });
  // It waits for the readiness at the address of the file: [readiness].
  const { notes } = await report(machine, program, ...install);
  assert.match(notes.join(), /was edited and is kept/);
  const kubectl = (words: string) =>
    shell(`kubectl --kubeconfig /var/lib/pyroute2-cni/api/kubeconfig ${words}`);

  // The conflist names the sockets: [api]; the runtime's folder: default.cni_config_dir.
  const list = JSON.parse(await shell("cat /etc/elsewhere/net.d/05-pyroute2.conflist"));
  assert.deepEqual([list.plugins[0].socketPathApi, list.plugins[0].socketPathFd], [
    sockets.socketPathApi,
    sockets.socketPathFd,
  ]);
  assert.notEqual((await callPlugin(machine, "STATUS", "a")).code, 0);
  const address = await attach(machine, "a", sockets);

  // The default domain: default.vrf, prefix, prefixlen, ipblocklen, system_vrf_type.
  assert.match(address, /^10\.77\.[0-6]?\d\./);
  const { items: [domain] } = JSON.parse(await kubectl("get vrd -o json"));
  assert.deepEqual(domain.spec.attachments, [{ type: "l2vni", vni: 77, port: 4789 }]);
  assert.deepEqual([domain.spec.vrf, domain.spec.prefix, domain.spec.prefixlen], [
    77,
    "10.77.0.0",
    18,
  ]);
  assert.match(await kubectl("get ipb -o name"), /vrf-77-10-77-\d+-\d+-28/);
  // With 512 it would be a service VRF, which all reach by this rule: default.service_vrf_max.
  const rules = await shell("ip rule");
  assert.match(rules, /lookup 77/);
  assert.doesNotMatch(rules, /^12000:/m);

  // The node: name, state_dir, register, vrf_backend; bgp.asn; frr.socket_path.
  assert.match(await kubectl("get nodes -o name"), /^node\/node-x$/m);
  await shell("test -s /run/elsewhere-state/journal.db && test -S /run/frr/elsewhere.sock");
  const isLink = (await machine.run(["ip", "link", "show", "vrf-77"])).code === 0;
  assert.equal(isLink, backend === "device");
  assert.match(await shell("vtysh -c 'show running-config'"), /^router bgp 65077$/m);

  // A CNIConfig with a plugin that is usually allowed: cni.allowed_plugins.
  const config = {
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "CNIConfig",
    metadata: { name: "x" },
    spec: { fileName: "x.conflist", enabled: true, priority: 1, plugins: [{ type: "portmap" }] },
  };
  await shell(
    `echo '${
      JSON.stringify(config)
    }' | kubectl --kubeconfig /var/lib/pyroute2-cni/api/kubeconfig apply -f -`,
  );
  await until("the plugin to be refused", patience, async () => {
    const found = await kubectl("get cnic x -o jsonpath={.status.conditions}");
    return found.includes("PluginNotAllowed") ? true : undefined;
  });

  // What nothing announces is mended by the next run: default.fw_interval_seconds. The deadline is shorter than the default, which
  // could only be met once by chance.
  for (let round = 0; round < 3; round++) {
    await shell("nft delete table inet pyroute2-cni");
    await until("the table to be back", 25, async () => {
      const { code } = await machine.run(["nft", "list", "table", "inet", "pyroute2-cni"]);
      return code === 0 ? true : undefined;
    });
  }

  // What a pod left without DEL is released by the next look, likewise: default.gc_interval_seconds.
  const addresses = new Map([["a", address], ["b", await attach(machine, "b", sockets)]]);
  for (const [pod, gone] of addresses) {
    await shell(`umount /run/pods/${pod}; rm /run/pods/${pod}`);
    await until("the pod's address to be released", 50, async () => {
      const { items } = JSON.parse(await kubectl("get ipb -o json"));
      return JSON.stringify(items[0].status.allocations).includes(`"${gone}"`) ? undefined : true;
    });
  }

  // Errors alone are logged: logging.level.
  const log = await shell("journalctl -o cat -u pyroute2-cni-daemon");
  assert.doesNotMatch(log, /"level":"(info|warn)"/);
});
