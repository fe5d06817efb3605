/** Who may import whom, and which runtime calls belong to which file. Pure: works on the sources' text. */

/** A source file. */
export interface Source {
  /** Path from the repository's root, such as `lib/sys/libc.ts`. */
  readonly path: string;
  /** Its text. */
  readonly text: string;
}

/** An import or a call where it must not be. */
export interface Violation {
  /** File at fault. */
  readonly path: string;
  /** What it does, and which rule forbids it. */
  readonly message: string;
}

interface Import {
  /** Path from the root for a file, the specifier for a package. */
  readonly target: string;
  readonly typeOnly: boolean;
}

const isProduct = (path: string) => /^(lib|daemon|frr)\//.test(path) || path === "plugin.ts";
const isTest = (path: string) => /_test\.ts$|\/testing\/|_cases\.ts$/.test(path);
const inAny = (path: string, ...places: string[]) => places.some((place) => path.startsWith(place));

/** Files that compute and do nothing else. */
const pureFiles: readonly string[] = [
  "daemon/reconcile/plan.ts",
  "daemon/reconcile/plan_input.ts",
  "daemon/reconcile/difference.ts",
  "daemon/firewall/check.ts",
  "daemon/firewall/marks.ts",
  "daemon/firewall/model.ts",
  "daemon/firewall/nft_json.ts",
  "daemon/firewall/nft_transactions.ts",
  "daemon/firewall/render.ts",
  "daemon/firewall/sets.ts",
  "daemon/ipam/allocator.ts",
  "daemon/install/conflist.ts",
  "daemon/install/frr_daemons.ts",
  "daemon/install/frr_plan.ts",
  "daemon/install/kubeconfig.ts",
  "daemon/install/launcher.ts",
  "daemon/install/layout.ts",
  "daemon/install/options.ts",
  "daemon/install/plan.ts",
  "daemon/install/removal_plan.ts",
  "daemon/install/report.ts",
  "daemon/install/server_ini.ts",
  "daemon/install/units.ts",
  "frr/render.ts",
  "frr/diff.ts",
];

/** One rule: whether a file may import a target. The text says what is wrong. */
const importRules: readonly {
  readonly text: string;
  readonly broken: (path: string, imported: Import) => boolean;
}[] = [
  {
    text: "plugin.ts imports only from lib/",
    broken: (path, { target }) => path === "plugin.ts" && !target.startsWith("lib/"),
  },
  {
    text: "lib/ imports only from lib/, node: and zod",
    broken: (path, { target }) =>
      path.startsWith("lib/") && !inAny(target, "lib/", "node:") && target !== "zod",
  },
  {
    text: "lib/sys imports only from lib/sys and lib/errors.ts",
    broken: (path, { target }) =>
      path.startsWith("lib/sys/") && !inAny(target, "lib/sys/", "node:") &&
      target !== "lib/errors.ts",
  },
  {
    text: "only daemon/kube imports client-node",
    broken: (path, { target }) =>
      target.startsWith("@kubernetes/client-node") && !path.startsWith("daemon/kube/"),
  },
  {
    text: "only daemon/server, daemon/apiserver and frr/agent import hono",
    broken: (path, { target }) =>
      /^hono(\/|$)/.test(target) &&
      !inAny(path, "daemon/server/", "daemon/apiserver/", "frr/agent"),
  },
  {
    text: "what is shipped imports nothing of the tests",
    broken: (_path, { target }) => target.startsWith("tests/") || target.includes("/testing/"),
  },
  {
    text: "frr/ imports nothing of the daemon",
    broken: (path, { target }) => path.startsWith("frr/") && target.startsWith("daemon/"),
  },
  {
    text: "handlers and pod know IPAM by its port only",
    broken: (path, { target }) =>
      inAny(path, "daemon/handlers/", "daemon/pod/") && target.startsWith("daemon/ipam/") &&
      target !== "daemon/ipam/port.ts" && target !== "daemon/ipam/errors.ts",
  },
  {
    text: "the firewall knows only its model, neither plan nor kernel adapter",
    broken: (path, { target }) =>
      path.startsWith("daemon/firewall/") && target.startsWith("daemon/") &&
      !target.startsWith("daemon/firewall/"),
  },
  {
    text: "nothing above daemon/kernel knows a backend",
    broken: (path, { target }) =>
      /^daemon\/kernel\/vrf_/.test(target) && !path.startsWith("daemon/kernel/"),
  },
  {
    text: "a pure file imports no I/O",
    broken: (path, { target, typeOnly }) =>
      pureFiles.includes(path) && !typeOnly &&
      (target.startsWith("lib/sys/") || target.startsWith("lib/netlink/") ||
        target.startsWith("node:") && target !== "node:path"),
  },
];

/** Calls of the runtime and where alone they may stand. */
const callRules: readonly {
  readonly call: RegExp;
  readonly where: RegExp;
  readonly text: string;
}[] = [
  {
    call: /\bDeno\.dlopen\b/,
    where: /^lib\/sys\/libc\.ts$/,
    text: "only lib/sys/libc.ts calls Deno.dlopen",
  },
  {
    call: /\bDeno\.env\b/,
    where: /^(daemon\/main|plugin)\.ts$/,
    text: "only daemon/main.ts and plugin.ts read Deno.env",
  },
];

/** All violations in the given sources. */
export function importViolations(sources: readonly Source[]): Violation[] {
  const shipped = sources.filter(({ path }) => isProduct(path) && !isTest(path));
  return [
    ...shipped.flatMap(violationsOf),
    ...pluginCosts(new Map(shipped.map((source) => [source.path, source]))),
  ];
}

function violationsOf(source: Source): Violation[] {
  const { path } = source;
  const code = withoutComments(source.text);
  const imports = importsOf(source);
  const broken = importRules.flatMap(({ text, broken }) =>
    imports.filter((imported) => broken(path, imported))
      .map(({ target }) => ({ path, message: `imports "${target}": ${text}` }))
  );
  const calls = callRules.filter(({ call, where }) => call.test(code) && !where.test(path))
    .map(({ text }) => ({ path, message: text }));
  const impure =
    pureFiles.includes(path) && /\bDeno\.|\bfetch\(|\bDate\.now\b|\bMath\.random\b/.test(code)
      ? [{ path, message: "does I/O or looks at the clock: it must be pure" }]
      : [];
  return [...broken, ...calls, ...impure];
}

/** npm packages and Node's timers anywhere in what the plugin loads: each costs every pod milliseconds. */
function pluginCosts(files: ReadonlyMap<string, Source>): Violation[] {
  const seen = new Set<string>();
  const queue = ["plugin.ts"];
  const violations: Violation[] = [];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    const source = files.get(path);
    if (source === undefined || seen.has(path)) continue;
    seen.add(path);
    for (const { target, typeOnly } of importsOf(source)) {
      if (typeOnly) continue;
      if (target.startsWith("lib/")) queue.push(target);
      else {violations.push({
          path,
          message: `imports "${target}", and the plugin loads this file`,
        });}
    }
    if (/(?<![.\w])set(Timeout|Interval)\b/.test(withoutComments(source.text))) {
      violations.push({
        path,
        message: "calls a timer that loads Node's, and the plugin loads this file: " +
          "AbortSignal.timeout does not",
      });
    }
  }
  return violations;
}

/** Static imports, re-exports and dynamic imports with a literal. */
function importsOf({ path, text }: Source): Import[] {
  const found: Import[] = [];
  const statement = /\b(?:import|export)\s+(type\s+)?(?:[^;'"]*?\sfrom\s+)?["']([^"']+)["']/g;
  const dynamic = /\bimport\(\s*["']([^"']+)["']\s*\)/g;
  const code = withoutComments(text);
  for (const [, type, specifier = ""] of code.matchAll(statement)) {
    found.push({ target: resolve(path, specifier), typeOnly: type !== undefined });
  }
  for (const [, specifier = ""] of code.matchAll(dynamic)) {
    found.push({ target: resolve(path, specifier), typeOnly: false });
  }
  return found;
}

function resolve(from: string, specifier: string): string {
  return specifier.startsWith(".")
    ? new URL(specifier, `file:///${from}`).pathname.slice(1)
    : specifier;
}

/** Comments only at the start of a line or behind blanks: a "//" inside a string stays. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|\s)\/\/[^\n]*/g, "$1");
}
