/**
 * The Debian packages that the lab, the VM tier and the container tests need: found by their files, installed only
 * when something is missing, and without starting any daemon.
 */
import { CodedError, messageOf } from "../lib/errors.ts";
import { withoutServiceStarts } from "./service_starts.ts";

/** One thing a task needs, and the Debian package that brings it. */
export interface Need {
  /**
   * What to look for; any one of them is enough. An absolute path is a file, a bare name an executable on `PATH` or in
   * one of the usual sbin directories.
   */
  readonly lookFor: readonly [string, ...string[]];
  /** Debian packages that bring it, the preferred first: the first one that apt offers is installed. */
  readonly packages: readonly [string, ...string[]];
}

/** How {@linkcode ensurePrerequisites} may act. */
export interface EnsureOptions {
  /** Whether missing packages may be installed; if not, missing ones are an error. */
  readonly install: boolean;
  /** Ends a running apt call. */
  readonly signal?: AbortSignal;
  /** Receives one line of progress at a time. */
  readonly report?: (line: string) => void;
}

/** Something is missing and may not be installed, or cannot be. */
export class PrerequisitesMissingError extends CodedError {
  /** What is missing. */
  readonly missing: readonly Need[];

  /**
   * Lists what is missing in the message.
   *
   * @param missing What is missing
   * @param remedy What the reader can do about it
   * @param options The underlying failure, if any
   */
  constructor(missing: readonly Need[], remedy: string, options?: ErrorOptions) {
    const list = missing.map((need) =>
      `"${need.lookFor[0]}" (package ${need.packages.join(" or ")})`
    );
    super(
      "PrerequisitesMissing",
      `Missing on this machine: ${[...new Set(list)].join(", ")}; ${remedy}`,
      options,
    );
    this.missing = missing;
  }
}

/** What the multi-node lab runs: FRR, nftables, iproute2 (to verify with) and process tools. */
export const labNeeds: readonly Need[] = [
  { lookFor: ["/usr/lib/frr/zebra"], packages: ["frr"] },
  { lookFor: ["/usr/lib/frr/frr-reload.py"], packages: ["frr-pythontools"] },
  { lookFor: ["nft"], packages: ["nftables"] },
  { lookFor: ["ip"], packages: ["iproute2"] },
  { lookFor: ["bridge"], packages: ["iproute2"] },
  { lookFor: ["sysctl"], packages: ["procps"] },
  // For running parts with the rights of their containers.
  { lookFor: ["setpriv"], packages: ["util-linux"] },
  { lookFor: ["/usr/lib/x86_64-linux-gnu/libseccomp.so.2"], packages: ["libseccomp2"] },
];

/** What booting a guest takes, apart from its kernel. */
export const vmNeeds: readonly Need[] = [
  { lookFor: ["qemu-system-x86_64"], packages: ["qemu-system-x86"] },
  {
    lookFor: ["/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd"],
    packages: ["virtiofsd", "qemu-system-common"],
  },
  { lookFor: ["/bin/busybox"], packages: ["busybox-static"] },
  { lookFor: ["cpio"], packages: ["cpio"] },
  { lookFor: ["modprobe"], packages: ["kmod"] },
  { lookFor: ["setpriv"], packages: ["util-linux"] },
];

/** What running real containers through the plugin takes. */
export const containerdNeeds: readonly Need[] = [
  { lookFor: ["containerd"], packages: ["containerd"] },
  { lookFor: ["ctr"], packages: ["containerd"] },
  { lookFor: ["runc"], packages: ["runc"] },
  { lookFor: ["/bin/busybox"], packages: ["busybox-static"] },
  { lookFor: ["/usr/lib/cni/bridge"], packages: ["containernetworking-plugins"] },
  // For Debian's plugins: portmap runs it.
  { lookFor: ["iptables"], packages: ["iptables"] },
];

/** What driving the embedded API from outside takes. */
export const kubectlNeeds: readonly Need[] = [
  { lookFor: ["kubectl"], packages: ["kubernetes-client"] },
];

/** What a real Kubernetes API takes, apart from kube-apiserver itself, which Debian does not have. */
export const kubeNeeds: readonly Need[] = [
  { lookFor: ["etcd"], packages: ["etcd-server"] },
  { lookFor: ["kubectl"], packages: ["kubernetes-client"] },
  { lookFor: ["setpriv"], packages: ["util-linux"] },
];

/** What judging and running units takes. */
export const systemdNeeds: readonly Need[] = [
  { lookFor: ["systemd-analyze"], packages: ["systemd"] },
  { lookFor: ["setpriv"], packages: ["util-linux"] },
];

/** What recording netlink fixtures takes. */
export const recordingNeeds: readonly Need[] = [
  { lookFor: ["strace"], packages: ["strace"] },
];

/** What `task bench` measures with, beside the lab's needs. */
export const benchNeeds: readonly Need[] = [
  { lookFor: ["iperf3"], packages: ["iperf3"] },
  { lookFor: ["sockperf"], packages: ["sockperf"] },
  { lookFor: ["/usr/bin/time"], packages: ["time"] },
];

const SBIN = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/**
 * Where a need is satisfied: the path of the first thing found.
 *
 * @returns The path, or `undefined` if nothing was found
 */
export async function locate(need: Need): Promise<string | undefined> {
  const directories = [...(Deno.env.get("PATH") ?? "").split(":").filter(Boolean), ...SBIN];
  for (const wanted of need.lookFor) {
    const paths = wanted.startsWith("/") ? [wanted] : directories.map((dir) => `${dir}/${wanted}`);
    for (const path of paths) {
      if (await isFile(path)) return path;
    }
  }
  return undefined;
}

/** The needs that nothing on this machine satisfies. */
export async function missingNeeds(needs: readonly Need[]): Promise<Need[]> {
  const paths = await Promise.all(needs.map(locate));
  return needs.filter((_, index) => paths[index] === undefined);
}

/**
 * Makes sure that everything in `needs` is there, installing what is missing if that is allowed. Looks at files first,
 * so that a machine that has everything sees no apt call. Services of new packages are not started.
 *
 * @throws {PrerequisitesMissingError} if something is missing and may not be, or could not be, installed
 */
export async function ensurePrerequisites(
  needs: readonly Need[],
  options: EnsureOptions,
): Promise<void> {
  const missing = await missingNeeds(needs);
  if (missing.length === 0) return;
  if (!options.install) {
    const packages = [...await choosePackages(missing, options)].join(" ");
    throw new PrerequisitesMissingError(missing, `run "apt-get install ${packages}"`);
  }
  if (Deno.uid() !== 0) {
    throw new PrerequisitesMissingError(missing, "installing them takes root");
  }
  try {
    await install(missing, options);
  } catch (cause) {
    options.signal?.throwIfAborted();
    const remedy = `apt-get could not install them: ${messageOf(cause)}`;
    throw new PrerequisitesMissingError(await missingNeeds(missing), remedy, { cause });
  }
  const still = await missingNeeds(missing);
  if (still.length > 0) {
    throw new PrerequisitesMissingError(still, "their packages are installed but lack the files");
  }
}

async function install(missing: readonly Need[], options: EnsureOptions): Promise<void> {
  options.report?.("Updating the package lists (apt-get update)");
  await apt(["apt-get", "update", "-q"], options);
  const packages = await choosePackages(missing, options);
  options.report?.(`Installing ${[...packages].join(", ")}`);
  await withoutServiceStarts("/usr/sbin/policy-rc.d", async () => {
    await apt(
      ["apt-get", "install", "-q", "-y", "--no-install-recommends", ...packages],
      options,
    );
  });
}

/** Of each need's packages the first that apt can install; the last if it knows none of them. */
async function choosePackages(
  needs: readonly Need[],
  options: EnsureOptions,
): Promise<Set<string>> {
  const chosen = new Set<string>();
  for (const { packages } of needs) {
    const known: string[] = [];
    for (const name of packages.length > 1 ? packages : []) {
      const policy = await apt(["apt-cache", "policy", name], options).catch(() => "");
      if (/^\s*Candidate: (?!\(none\))/m.test(policy)) known.push(name);
    }
    chosen.add(known[0] ?? packages.at(-1) ?? packages[0]);
  }
  return chosen;
}

async function apt(
  command: readonly [string, ...string[]],
  options: EnsureOptions,
): Promise<string> {
  const [tool, ...args] = command;
  if (tool === "apt-get") args.unshift("-o", "DPkg::Lock::Timeout=300");
  const output = await new Deno.Command(tool, {
    args,
    env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    stdin: "null",
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  }).output();
  const text = new TextDecoder().decode(output.stdout);
  if (!output.success) {
    const errors = new TextDecoder().decode(output.stderr);
    // What dpkg has to say is on standard output.
    const tail = `${text}\n${errors}`.trim().split("\n").slice(-10).join("\n");
    throw new CodedError(
      "AptFailed",
      `Expected "${command.join(" ")}" to succeed, found exit code ${output.code}: ${tail}`,
    );
  }
  return text;
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false;
  }
}
