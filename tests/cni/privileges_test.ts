/** With which privileges the server and its handlers do their work: those of the DaemonSet and of the systemd unit, and no other. */
import assert from "node:assert/strict";
import { capabilitiesOf, capabilityMask } from "../confinement/container_rights.ts";
import { cniEnv, execPlugin, Pod, sourcePlugin } from "./harness.ts";
import { NodeProcess } from "./node_process.ts";

/** The capabilities of the daemon's container. */
const capabilities = capabilitiesOf("pyroute2-cni");

/** Starts a node that has these capabilities alone and can gain none. */
function startWith(names: readonly string[]): Promise<NodeProcess> {
  const kept = names.map((name) => `,+${name.toLowerCase()}`).join("");
  const options = ["--no-new-privs", "--inh-caps=-all", `--bounding-set=-all${kept}`];
  return NodeProcess.start({}, 4096, options);
}

/** What the runtime is told of a pod that comes and goes, by command. */
async function comeAndGo(node: NodeProcess, pod: Pod): Promise<Record<string, unknown>> {
  const config = {
    cniVersion: "1.1.0",
    name: "pr2t",
    type: "pyroute2-cni-plugin",
    socketPathApi: node.api,
    socketPathFd: node.fdpass,
  };
  const added = await execPlugin(sourcePlugin, cniEnv("ADD", pod), config);
  const chained = { ...config, prevResult: added.answer };
  const codes: Record<string, unknown> = { ADD: added.answer?.["code"] ?? added.code };
  for (const command of ["CHECK", "DEL"]) {
    const { code, answer } = await execPlugin(sourcePlugin, cniEnv(command, pod), chained);
    codes[command] = answer?.["code"] ?? code;
  }
  return codes;
}

Deno.test("Pods come and go with the capabilities of the DaemonSet, and no new privileges", async () => {
  await using node = await startWith(capabilities);
  const expected = capabilityMask(capabilities);
  assert.equal(BigInt(`0x${node.status.get("CapEff")}`), expected);
  assert.equal(BigInt(`0x${node.status.get("CapBnd")}`), expected);
  assert.equal(node.status.get("NoNewPrivs"), "1");
  using pod = new Pod();
  assert.deepEqual(await comeAndGo(node, pod), { ADD: 0, CHECK: 0, DEL: 0 });
  assert.deepEqual(pod.interfaces(), ["lo"]);
});

Deno.test("Without the capability for links or the one for namespaces no node starts", async () => {
  for (const name of ["NET_ADMIN", "SYS_ADMIN"]) {
    const others = capabilities.filter((other) => other !== name);
    await assert.rejects(startWith(others), /operation not permitted|EPERM/i, `without ${name}`);
  }
});
