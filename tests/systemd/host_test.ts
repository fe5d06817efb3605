/**
 * `pyroute2-cni install` on a machine with a real systemd as its first process: the units run as they are written, with all their
 * restrictions, a pod gets its network, and a removal leaves nothing.
 */
import assert from "node:assert/strict";
import { differences, entryAt, readTree, type Tree } from "../install/tree.ts";
import {
  answers,
  attach,
  callPlugin,
  install,
  installed,
  machineTest,
  program,
  report,
  start,
} from "./host.ts";
import { backend } from "../lab/backend_test_case.ts";
import { repository } from "../lab/options.ts";
import { until } from "../lab/process.ts";
import type { SystemdMachine } from "./machine.ts";

const services = ["pyroute2-cni-apiserver", "pyroute2-cni-frr-agent", "pyroute2-cni-daemon"];

/** All that the kernel holds of links, addresses, routes, rules and nftables; what it does by itself at a time of its own aside. */
async function kernelState(machine: SystemdMachine): Promise<string> {
  const script = `
ip -br link | sed 's/@.*//' | sort; ip -br address | grep -v fe80 | sort; ip -4 rule; ip -6 rule
ip -4 route show table all | sort; ip netns; nft list ruleset; ss -Hlnut; ls /run/pods /sys/class/net`;
  return await machine.expect(["sh", "-c", script]);
}

/** Files that systemd, its journal and FRR's own service write by themselves. */
const notOurs =
  /^(var\/(log|tmp|lib\/(systemd|private$))|tmp|run|mnt|etc\/(machine-id|mtab|resolv.conf|\.updated)|var\/\.updated|var\/cache|root\/|proc|sys|dev)/;

/** What is other than on this machine, whose files the machine sees below its own. */
async function written(machine: SystemdMachine): Promise<Tree> {
  const own = new Map<string, string>();
  for (const [path, what] of await readTree(machine.written)) {
    if (!notOurs.test(path) && await entryAt(`/${path}`) !== what) own.set(path, what);
  }
  return own;
}

async function assertRunning(machine: SystemdMachine): Promise<void> {
  for (const service of [...services, "frr"]) {
    assert.equal(
      (await machine.run(["systemctl", "is-active", service])).stdout,
      "active\n",
      service,
    );
  }
}

/** What becomes of calls that nothing here needs, for a program in the place of the daemon: by its unit, but for what it executes. */
async function refusedCalls(machine: SystemdMachine): Promise<Record<string, string>> {
  const script = `
unit=/run/systemd/system/refused-calls.service
sed -e "s|^ExecStart=.*|ExecStart=$0 run -A --no-check --quiet $1|" -e '/^Restart/d' -e '/^Wants=/d' -e '/^After=/d' \\
  -e '/^\\[Service\\]/a Type=oneshot\\nEnvironment=DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1\\nStandardOutput=file:/run/refused-calls' \\
  /etc/systemd/system/pyroute2-cni-daemon.service >$unit
systemctl daemon-reload
systemctl start refused-calls
cat /run/refused-calls
rm $unit /run/refused-calls
systemctl daemon-reload`;
  const program = `${repository}/tests/confinement/refused_calls.ts`;
  return JSON.parse(await machine.expect(["sh", "-ec", script, Deno.execPath(), program]));
}

async function mountNamespaces(machine: SystemdMachine): Promise<readonly boolean[]> {
  const script = `for s in ${services.join(" ")}; do
    readlink /proc/$(systemctl show -P MainPID $s)/ns/mnt; done; readlink /proc/1/ns/mnt`;
  const lines = (await machine.expect(["sh", "-c", script])).trim().split("\n");
  return lines.slice(0, -1).map((line) => line === lines.at(-1));
}

machineTest(
  "an installation runs under its restrictions, does nothing twice, and is removed without a trace",
  async (machine) => {
    await machine.expect(["mkdir", "/run/pods"]);
    await machine.expect(["systemctl", "disable", "frr"]);
    const [kernel, files] = [await kernelState(machine), await written(machine)];

    const first = await report(machine, program, ...install);
    assert.ok(first.changed);
    await assertRunning(machine);
    // With namespaces as VRFs the daemon shares the host's mounts; all else is shut off from them.
    assert.deepEqual(await mountNamespaces(machine), [false, false, backend === "netns"]);
    if (backend === "netns") {
      for (const [name, error] of Object.entries(await refusedCalls(machine))) {
        // systemd shuts families of sockets off with an error of its own.
        assert.equal(error, name === "socket" ? "EAFNOSUPPORT" : "EPERM", name);
      }
    }
    const second = await report(machine, program, ...install);
    assert.deepEqual([second.changed, second.changes], [false, []]);
    const processes = () => machine.expect(["systemctl", "show", "-P", "MainPID", ...services]);
    const before = await processes();
    await report(machine, program, ...install);
    assert.equal(await processes(), before);

    const [a, b] = [await attach(machine, "a"), await attach(machine, "b")];
    assert.ok(await answers(machine, a), "the node reaches its pod");
    assert.ok(await answers(machine, b, "a"), "a pod reaches another");

    const refused = await machine.run([installed, "uninstall"]);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /found 2 .*--force \(PodsAttached\)/);
    await assertRunning(machine);
    assert.ok(await answers(machine, b, "a"));

    for (const pod of ["a", "b"]) {
      assert.equal((await callPlugin(machine, "DEL", pod)).code, 0);
      await machine.expect(["sh", "-ec", `umount /run/pods/${pod}; rm /run/pods/${pod}`]);
    }
    const removed = await report(machine, installed, "uninstall", "--json");
    assert.ok(removed.changes.some(({ what }) => what === "VRF vrf-42"));
    assert.equal(await kernelState(machine), kernel);
    assert.deepEqual(differences(files, await written(machine)), []);
    const units = await machine.expect([
      "systemctl",
      "list-units",
      "--all",
      "--no-legend",
      "pyroute2*",
    ]);
    assert.equal(units, "");
    for (const path of ["/run/pyroute2", "/run/frr/reload.sock", "/var/lib/private/pyroute2-cni"]) {
      assert.notEqual((await machine.run(["test", "-e", path])).code, 0, path);
    }
    assert.equal((await report(machine, program, "uninstall", "--json")).changed, false);
  },
);

machineTest(
  "it comes back after a power cut, an upgrade restarts what is older, and force detaches pods",
  async (machine) => {
    await report(machine, program, ...install);
    await machine.reboot();
    await machine.expect(["mkdir", "/run/pods"]);
    // The same command waits for what the boot has started, and changes nothing.
    const after = await report(machine, installed, "install", "--systemd", ...start, "--json");
    assert.deepEqual(after.changes, []);
    const a = await attach(machine, "a");
    assert.ok(await answers(machine, a));

    // An older program that runs: the new one takes its place, and the pod keeps its network.
    const older = `/usr/local/lib/pyroute2-cni/pyroute2-cni`;
    await machine.expect([
      "sh",
      "-ec",
      `echo '// older' >> ${older}; systemctl restart pyroute2-cni-daemon`,
    ]);
    const upgrade = await report(machine, program, ...install);
    assert.deepEqual(upgrade.changes.map(({ action, what }) => `${action} ${what}`), [
      `replace ${older}`,
      ...services.map((service) => `restart ${service}.service`),
    ]);
    assert.ok(await answers(machine, a));

    // Files that were installed without --start are noticed by the next start.
    await machine.expect([
      "sh",
      "-ec",
      `echo '[bgp]' >> /dev/null; sed -i 's/^#asn = 65000/asn = 65001/' /etc/pyroute2-cni/server.ini`,
    ]);
    const edited = await report(machine, program, ...install);
    assert.deepEqual(edited.changes.map(({ action, what }) => `${action} ${what}`), [
      "create /etc/pyroute2-cni/server.ini.new",
      "replace /var/lib/pyroute2-cni/install.json",
      "restart pyroute2-cni-daemon.service",
    ]);

    await machine.expect(["sh", "-ec", "echo 'ospfd=yes' >> /etc/frr/daemons"]);
    await report(machine, installed, "uninstall", "--force", "--json");
    assert.equal(await answers(machine, a), false);
    assert.match(await machine.expect(["cat", "/etc/frr/daemons"]), /^bgpd=no$[^]*^ospfd=yes$/m);
    const left = await machine.run(["nsenter", "--net=/run/pods/a", "ip", "-br", "link"]);
    assert.deepEqual(left.stdout.trim().split("\n").length, 1, left.stdout);
  },
);

machineTest(
  "what an API that ran by hand knew is taken up, and outlives a removal that keeps data",
  async (machine) => {
    const shell = (script: string) => machine.expect(["sh", "-c", script]);
    const kubectl = "kubectl --kubeconfig /var/lib/pyroute2-cni/api/kubeconfig";
    await shell(
      `${program} apiserver --host 192.0.2.11 >/run/api.log 2>&1 & echo $! >/run/api.pid`,
    );
    await until("the API to answer", 120, async () => {
      const { code } = await machine.run(["sh", "-c", `${kubectl} create namespace before`]);
      return code === 0 ? true : undefined;
    });
    await shell(
      "kill $(cat /run/api.pid); while [ -e /proc/$(cat /run/api.pid) ]; do sleep 0.1; done",
    );
    // Closed to all others, as a program makes it that runs as root.
    await shell("chmod 700 /var/lib/pyroute2-cni");
    await report(machine, program, ...install);
    assert.match(await shell(`${kubectl} get namespaces`), /^before /m);
    await report(machine, installed, "uninstall", "--keep-data", "--json");
    const { notes } = await report(machine, program, ...install);
    assert.deepEqual(notes, []);
    assert.match(await shell(`${kubectl} get namespaces`), /^before /m);
  },
);
