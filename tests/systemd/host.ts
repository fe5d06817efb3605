/** A host that is installed on, in the tests: its machine, its report, its pods. */
import assert from "node:assert/strict";
import { z } from "zod";
import { repository } from "../lab/options.ts";
import { bootMachine, type CommandResult, type SystemdMachine, whyNoSystemd } from "./machine.ts";

/** The program as it was built. */
export const program = `${repository}/dist/pyroute2-cni`;
/** The program as it is installed. */
export const installed = "/usr/local/lib/pyroute2-cni/pyroute2-cni";
const plugin = "/opt/cni/bin/pyroute2-cni-plugin";
/** Words that start all; where every instruction is emulated that takes minutes. */
export const start: readonly string[] = [
  "--start",
  ...Deno.env.has("PYROUTE2_LAB_EMULATED") ? ["--wait", "1200"] : [],
];
/** Words that install and start all. */
export const install: readonly string[] = [
  ...["install", "--systemd", "--api", "192.0.2.11", ...start, "--json"],
];

const missing = await whyNoSystemd();
if (missing !== undefined) console.error(`Skipped, no systemd can be booted here: ${missing}`);

const reportSchema = z.object({
  changed: z.boolean(),
  changes: z.array(z.object({ action: z.string(), what: z.string() })),
  notes: z.array(z.string()),
});

/** A test on a freshly booted machine, which shows its journal when it fails. */
export function machineTest(name: string, fn: (machine: SystemdMachine) => Promise<void>): void {
  Deno.test({
    name,
    ignore: missing !== undefined,
    fn: async () => {
      await using machine = await bootMachine([repository], AbortSignal.timeout(3_000_000));
      try {
        await fn(machine);
      } catch (error) {
        const { stdout } = await machine.run(["journalctl", "--no-pager", "-n", "60", "-o", "cat"]);
        console.error(stdout);
        throw error;
      }
    },
  });
}

/** Runs a command whose report is JSON. */
export async function report(
  machine: SystemdMachine,
  ...command: readonly string[]
): Promise<z.infer<typeof reportSchema>> {
  return reportSchema.parse(JSON.parse(await machine.expect(command)));
}

/** Runs the plugin as a runtime does. */
export async function callPlugin(
  machine: SystemdMachine,
  command: string,
  pod: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<CommandResult> {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: pod,
    CNI_NETNS: `/run/pods/${pod}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=${pod}`,
  };
  const config = { cniVersion: "1.0.0", name: "pyroute2", type: "pyroute2-cni-plugin" };
  const stdin = JSON.stringify({ ...config, ...settings });
  return await machine.run([plugin], { env, stdin });
}

/** Makes a pod's namespace, attaches it and gives its address. */
export async function attach(
  machine: SystemdMachine,
  pod: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const path = `/run/pods/${pod}`;
  await machine.expect(["sh", "-ec", `touch ${path}; unshare --net=${path} ip link set lo up`]);
  const { code, stdout } = await callPlugin(machine, "ADD", pod, settings);
  assert.equal(code, 0, stdout);
  const { ips } = z.object({ ips: z.array(z.object({ address: z.string() })) })
    .parse(JSON.parse(stdout));
  return ips[0]?.address.split("/")[0] ?? assert.fail(stdout);
}

/** Whether an address answers on TCP, if only to refuse. */
export async function answers(
  machine: SystemdMachine,
  address: string,
  from?: string,
): Promise<boolean> {
  const inside = from === undefined ? [] : ["nsenter", `--net=/run/pods/${from}`];
  const { stderr } = await machine.run(
    [...inside, "timeout", "5", "bash", "-c", `echo > /dev/tcp/${address}/9`],
  );
  return stderr.includes("Connection refused");
}
