/** Builds Kubernetes' own programs, which neither Debian nor npm has, from the Go module k8s.io/kubernetes. */
import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { CodedError } from "../../lib/errors.ts";
import { defaultCacheDirectory, fillOnce } from "../vm/cache_directory.ts";

/** A program of Kubernetes, as its folder below `cmd` is called. */
export type Program =
  | "kube-apiserver"
  | "kube-controller-manager"
  | "kube-proxy"
  | "kube-scheduler"
  | "kubelet";

/** How a build may be watched and ended. */
export interface BuildOptions {
  /** Receives one line of progress at a time. */
  readonly report: (line: string) => void;
  /** Ends it. */
  readonly signal?: AbortSignal;
  /** Where executables are kept; by default {@linkcode defaultCacheDirectory}. */
  readonly cacheDirectory?: string;
}

/** `go.mod` pins the version, `go.sum` the content of every module that goes into the executable. */
const moduleDirectory = new URL("./kubernetes", import.meta.url).pathname;
const secondsBetweenReports = 15;

/** Where the executable of the pinned version is kept; whether it is there is another question. */
export async function cachedProgram(
  program: Program,
  cacheDirectory: string = defaultCacheDirectory(),
): Promise<string> {
  const { version, digest } = await pinned();
  return join(cacheDirectory, program, `${version}-${digest}`, program);
}

/**
 * Builds a program into the cache; several processes that want it at once build it once.
 *
 * @param go The Go command
 * @param program What to build
 * @returns The executable
 * @throws {CodedError} `GoFailed` with what Go said, such as that a module cannot be downloaded
 */
export async function buildProgram(
  go: string,
  program: Program,
  options: BuildOptions,
): Promise<string> {
  const path = await cachedProgram(program, options.cacheDirectory);
  const directory = dirname(path);
  await Deno.mkdir(dirname(directory), { recursive: true });
  using lock = await Deno.open(`${directory}.lock`, { create: true, write: true });
  await lock.lock(true);
  if (await isExecutable(path)) return path;
  const start = performance.now();
  const report = (line: string) => {
    const seconds = Math.round((performance.now() - start) / 1000);
    options.report(`${String(seconds).padStart(5)} s  ${line}`);
  };
  await fillOnce(
    directory,
    (temporary) => build(go, program, join(temporary, program), { ...options, report }),
  );
  return path;
}

/** Whether a path is a file that may be executed. */
export async function isExecutable(path: string): Promise<boolean> {
  try {
    const { isFile, mode } = await Deno.stat(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}

async function build(
  go: string,
  program: Program,
  file: string,
  options: BuildOptions,
): Promise<void> {
  const { version } = await pinned();
  const source = `k8s.io/kubernetes/cmd/${program}`;
  options.report(`Downloading the sources of ${program} ${version} that Go does not have yet`);
  let total = 0;
  await runGo([go, "list", "-deps", source], options, () => total++);
  options.report(
    `Compiling ${total} packages behind all other work; those that Go has cached cost nothing`,
  );
  const [major = "", minor = ""] = version.slice(1).split(".");
  const stamp = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const link = Object.entries(stamp).map(([name, value]) =>
    `-X k8s.io/component-base/version.${name}=${value}`
  );
  let compiled = 0;
  let reported = performance.now();
  await runGo(
    [go, "build", "-v", "-trimpath", "-ldflags", ["-s -w", ...link].join(" "), "-o", file, source],
    options,
    (line) => {
      compiled++;
      if (performance.now() - reported < secondsBetweenReports * 1000) return;
      reported = performance.now();
      options.report(`${compiled} of at most ${total} packages compiled, now ${line}`);
    },
  );
  const { size } = await Deno.stat(file);
  options.report(`${program} ${version} is built: ${Math.round(size / 1e6)} MB`);
}

/** Runs Go with the pinned modules as they are; both its outputs go to `onLine`. */
async function runGo(
  words: readonly string[],
  options: BuildOptions,
  onLine: (line: string) => void,
): Promise<void> {
  options.signal?.throwIfAborted();
  // All cores, but only when nobody else wants them: a build takes minutes.
  const script = 'exec setpriv --pdeathsig KILL nice -n 19 "$@" 2>&1';
  const child = new Deno.Command("sh", {
    args: ["-c", script, "sh", ...words],
    cwd: moduleDirectory,
    env: { CGO_ENABLED: "0", GOFLAGS: "-mod=readonly", GOWORK: "off" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  }).spawn();
  const tail: string[] = [];
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = `${rest}${text}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      onLine(line);
      tail.push(line);
      if (tail.length > 20) tail.shift();
    }
  }
  const { success, code } = await child.status;
  options.signal?.throwIfAborted();
  if (success) return;
  throw new CodedError(
    "GoFailed",
    `Expected "${words.join(" ")}" to succeed, found exit code ${code}: ${
      [...tail, rest].join("\n").trim()
    }`,
  );
}

async function pinned(): Promise<{ version: string; digest: string }> {
  const module = await Deno.readTextFile(join(moduleDirectory, "go.mod"));
  const sums = await Deno.readTextFile(join(moduleDirectory, "go.sum"));
  const version = /k8s\.io\/kubernetes (v\S+)/m.exec(module)?.[1];
  if (version === undefined) {
    throw new CodedError(
      "UnpinnedVersion",
      `Expected "${moduleDirectory}/go.mod" to require k8s.io/kubernetes, found no version; pin one`,
    );
  }
  const digest = createHash("sha256").update(module).update(sums).digest("hex").slice(0, 12);
  return { version, digest };
}
