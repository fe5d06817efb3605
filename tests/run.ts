/**
 * `deno task test`: all tiers, one after the other, each with its own line; ends with one plain line
 * `N passed, N failed, N skipped`. A tier that runs no test counts as a failure, unless it says why it may not run.
 *
 * Arguments: `--no-install`, and names of tiers to run only these.
 */
import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { failuresIn } from "./failures.ts";
import { build, hasVrfLink, repository } from "./lab/options.ts";
import { removeAbandonedLabs } from "./lab/lab.ts";
import { execute } from "./lab/process.ts";
import {
  containerdNeeds,
  ensurePrerequisites,
  kubectlNeeds,
  kubeNeeds,
  labNeeds,
  type Need,
  recordingNeeds,
  systemdNeeds,
  vmNeeds,
} from "./prerequisites.ts";
import { runInGuest } from "./vm/guest.ts";

/** What the tests of a tier came to. */
interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** Lines about those that failed. */
  readonly failures: readonly string[];
}

/** A part of the suite. */
interface Tier {
  readonly name: string;
  /** What it shows, for the line above its output. */
  readonly about: string;
  readonly needs: readonly Need[];
  /** Whether it runs what `dist/` holds. */
  readonly built: boolean;
  /** Arguments of `deno test`. */
  readonly files: readonly string[];
  /** Where it runs: in a guest, where this kernel lacks the vrf link type. */
  readonly guest?: boolean;
  /** Whether all of its tests may be skipped, with the reason: where there is no Go to build with. */
  readonly maySkip?: boolean;
}

const tiers: readonly Tier[] = [
  {
    name: "unit",
    about: "every part by itself, on real namespaces, sockets, nft and FRR",
    needs: labNeeds,
    built: false,
    files: [
      "lib",
      "daemon",
      "frr",
      "tests/check",
      "tests/fuzz",
      "tests/bench",
      "tests/failures_test.ts",
    ],
  },
  {
    name: "integration",
    about:
      "parts together: kernel adapters, IPAM, plugin and daemon, the embedded API with kubectl",
    needs: [
      ...labNeeds,
      ...kubectlNeeds,
      ...recordingNeeds,
      ...containerdNeeds,
      ...systemdNeeds,
    ],
    built: true,
    files: [
      "tests/netlink",
      "tests/forwarding",
      "tests/kernel",
      "tests/ipam",
      "tests/scale",
      "tests/kube/embedded_api_test.ts",
      "tests/kube/embedded_flood_test.ts",
      "tests/kube/embedded_kubectl_test.ts",
      "tests/kube/apiserver_binary_test.ts",
      "tests/manifests/containerfile_test.ts",
      "tests/manifests/crds_test.ts",
      "tests/manifests/install_test.ts",
      "tests/cni",
      "tests/confinement",
      "tests/crash",
      "tests/build",
      "tests/install",
      "tests/prerequisites_test.ts",
    ],
  },
  {
    name: "systemd",
    about: "an installation on a machine that boots a real systemd, and its removal",
    needs: [...labNeeds, ...kubectlNeeds, ...systemdNeeds],
    built: true,
    files: ["tests/systemd"],
    maySkip: true,
  },
  {
    name: "lab",
    about: "two nodes with FRR, VRFs as network namespaces; a short soak",
    needs: [...labNeeds, ...kubectlNeeds],
    built: true,
    files: ["tests/lab", "tests/soak"],
  },
  {
    name: "containerd",
    about: "containers of a real containerd, by ctr and by the CRI, attached by the plugin",
    needs: [...labNeeds, ...kubectlNeeds, ...containerdNeeds],
    built: true,
    files: ["tests/containerd"],
  },
  {
    name: "kube",
    about:
      "a real etcd and kube-apiserver, built once where Go is at hand: cases, client, manifests, lab",
    needs: [...labNeeds, ...kubectlNeeds, ...kubeNeeds],
    built: true,
    files: [
      "tests/kube/real_api_test.ts",
      "tests/kube/real_client_test.ts",
      "tests/kube/real_throttle_test.ts",
      "tests/kube/real_lab_test.ts",
      "tests/kube/real_operator_test.ts",
      "tests/manifests/real_install_test.ts",
    ],
    maySkip: true,
  },
  {
    name: "kubelet",
    about: "a cluster of one node, control plane, kubelet and containerd, built once with Go",
    needs: [...labNeeds, ...kubectlNeeds, ...kubeNeeds, ...containerdNeeds],
    built: true,
    files: ["tests/kube/cluster"],
    maySkip: true,
  },
  {
    name: "vm",
    about: "a guest with the vrf link type",
    needs: vmNeeds,
    built: false,
    files: ["tests/vm"],
  },
  {
    name: "device",
    about:
      "the kernel adapter and the labs again, VRFs as vrf links, in one guest where this kernel lacks them",
    needs: [...labNeeds, ...kubectlNeeds, ...vmNeeds],
    built: true,
    files: [
      "tests/kernel/device_backend_test.ts",
      "tests/lab/lab_test.ts",
      "tests/lab/egress_test.ts",
      "tests/lab/l2vni_test.ts",
      "tests/lab/dual_stack_test.ts",
      "tests/lab/wishes_test.ts",
      "tests/lab/ipv6_underlay_test.ts",
      "tests/lab/uptime_test.ts",
      "tests/lab/fabric_test.ts",
    ],
    guest: true,
  },
];

async function runTier(tier: Tier, signal: AbortSignal): Promise<Count> {
  const guest = tier.guest === true && !await hasVrfLink();
  const output = guest ? await testInGuest(tier, signal) : await testHere(tier, signal);
  const result = { ...count(output), failures: failuresIn(output) };
  const ran = result.passed + result.failed;
  if (ran > 0 || (tier.maySkip === true && result.skipped > 0)) return result;
  return { ...result, failed: 1, failures: ["No test ran"] };
}

function denoTest(tier: Tier): [string, ...string[]] {
  return [
    Deno.execPath(),
    // Not --parallel: it runs files as threads of one process, whose descriptors and threads some tests count.
    ...["test", "-A", "--quiet"],
    ...tier.guest === true ? ["--no-check", "--cached-only"] : [],
    ...tier.files,
  ];
}

/** Variables of a tier's tests: the backend that the lab's tests shall use. */
function environment(tier: Tier): Record<string, string> {
  return { NO_COLOR: "1", PYROUTE2_LAB_BACKEND: tier.guest === true ? "device" : "netns" };
}

async function testHere(tier: Tier, signal: AbortSignal): Promise<string> {
  const [program, ...args] = denoTest(tier);
  const child = new Deno.Command(program, {
    args,
    cwd: repository,
    env: environment(tier),
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    signal,
  }).spawn();
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    Deno.stdout.writeSync(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  await child.status;
  return text;
}

async function testInGuest(tier: Tier, signal: AbortSignal): Promise<string> {
  // The guest has no network: what the tests import must be here before.
  const paths = tier.files.map((path) => `${repository}/${path}`);
  await execute([Deno.execPath(), "cache", "--quiet", ...paths], { signal, inherit: true });
  let text = "";
  const decoder = new TextDecoder();
  await runInGuest({
    command: denoTest(tier),
    cwd: repository,
    env: { ...environment(tier), PYROUTE2_LAB_EMULATED: "1" },
    signal,
    timeoutMs: 90 * 60_000,
    onOutput(chunk, stream) {
      (stream === "stdout" ? Deno.stdout : Deno.stderr).writeSync(chunk);
      if (stream === "stdout") text += decoder.decode(chunk, { stream: true });
    },
  });
  return text;
}

/** Reads the closing line of `deno test`; without one the run broke off, which is a failure. */
function count(output: string): Omit<Count, "failures"> {
  const closing = /^(?:ok|FAILED) \| (\d+) passed[^|]* \| (\d+) failed(?: \| (\d+) ignored)?/gm;
  const last = [...output.matchAll(closing)].at(-1);
  if (last === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const [passed = 0, failed = 0, skipped = 0] = last.slice(1).map((text) => Number(text ?? 0));
  return { passed, failed, skipped };
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: { "no-install": { type: "boolean", default: false } },
  });
  const unknown = positionals.filter((word) => !tiers.some(({ name }) => name === word));
  if (unknown.length > 0) {
    console.error(
      `Expected tiers out of ${tiers.map(({ name }) => name).join(", ")}, found "${
        unknown.join(", ")
      }"`,
    );
    return 2;
  }
  const chosen = positionals.length === 0
    ? tiers
    : tiers.filter(({ name }) => positionals.includes(name));
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(name, () => stop.abort(new Error("Interrupted")));
  }
  await ensurePrerequisites([...new Set(chosen.flatMap(({ needs }) => needs))], {
    install: !values["no-install"],
    signal: stop.signal,
    report: (line) => console.error(line),
  });
  await removeAbandonedLabs();
  if (chosen.some(({ built }) => built)) await build(stop.signal);
  const total = { passed: 0, failed: 0, skipped: 0 };
  const failures: string[] = [];
  for (const tier of chosen) {
    stop.signal.throwIfAborted();
    const start = performance.now();
    console.log(`\n== ${tier.name}: ${tier.about}`);
    const result = await runTier(tier, stop.signal).catch((error): Count => {
      stop.signal.throwIfAborted();
      console.error(messageOf(error));
      return { passed: 0, failed: 1, skipped: 0, failures: [messageOf(error)] };
    });
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(
      `== ${tier.name}: ${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped, ${seconds} s`,
    );
    total.passed += result.passed;
    total.failed += result.failed;
    total.skipped += result.skipped;
    if (result.failed > 0) {
      const told = result.failures.length > 0 ? result.failures : ["Its tests broke off"];
      failures.push(`== ${tier.name} failed:`, ...told);
    }
  }
  // Once more at the end: it is an hour of output that they stand in.
  if (failures.length > 0) console.log(`\n${failures.join("\n")}`);
  console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  return total.failed === 0 ? 0 : 1;
}

try {
  Deno.exit(await main());
} catch (error) {
  console.error(messageOf(error));
  console.log("\n0 passed, 1 failed, 0 skipped");
  Deno.exit(1);
}
