/** The project's programs: what is built, and how a built one is recognised. */
import { cniVariables } from "../lib/cni/args.ts";
import { supportedVersions } from "../lib/cni/version.ts";

/**
 * How the runtime takes a bundle: an ES `module` is its main module, which Deno parses itself before V8 does; of a CommonJS `script`,
 * which exports `main(args, path)`, it sees nothing but the few lines that hand its text to V8. Deno's parser takes about 17 bytes
 * of memory for each byte of a bundle, and keeps them.
 */
export type BundleForm = "module" | "script";

/** A program of the project. */
export interface Program {
  /** Name of the executable. */
  readonly name: string;
  /** Entry module, relative to the project's folder. */
  readonly entry: string;
  /** Options of `deno run` and `deno compile`: the permissions and unstable features that it needs. */
  readonly options: readonly string[];
  /** What it is where it cannot be compiled. */
  readonly form: BundleForm;
  /** Runs an executable and tells whether it is this program. */
  readonly verify: (path: string) => Promise<boolean>;
}

/** The programs. The plugin gets nothing but what it needs: its variables, the sockets and libc. */
export const programs: readonly Program[] = [
  {
    name: "pyroute2-cni-plugin",
    entry: "plugin.ts",
    options: [
      "--allow-ffi",
      "--allow-read",
      "--allow-write",
      "--allow-net",
      `--allow-env=${cniVariables.join(",")}`,
    ],
    form: "module",
    verify: isPlugin,
  },
  {
    name: "pyroute2-cni",
    entry: "daemon/main.ts",
    // Else V8 lets its young generation grow to tens of megabytes, and fills it before it collects: a service that mostly waits need not.
    options: ["--allow-all", "--unstable-no-legacy-abort", "--v8-flags=--optimize-for-size"],
    form: "script",
    verify: isDaemon,
  },
];

async function isPlugin(path: string): Promise<boolean> {
  const answer = await run(path, [], { CNI_COMMAND: "VERSION" }, '{"cniVersion":"1.0.0"}');
  try {
    const value: unknown = JSON.parse(answer);
    return typeof value === "object" && value !== null && "supportedVersions" in value &&
      JSON.stringify(value.supportedVersions) === JSON.stringify(supportedVersions);
  } catch {
    return false;
  }
}

async function isDaemon(path: string): Promise<boolean> {
  return (await run(path, ["version"], {}, "")).startsWith("pyroute2-cni ");
}

/** What a program prints; a wrong base would wait for input for ever, which is why stdin ends and time is limited. */
async function run(
  path: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  stdin: string,
): Promise<string> {
  const child = new Deno.Command(path, {
    args: [...args],
    env: { ...env },
    clearEnv: true,
    cwd: "/",
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
    signal: AbortSignal.timeout(30_000),
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin)).then(() => writer.close()).catch(() => {});
  return new TextDecoder().decode((await child.output()).stdout);
}
