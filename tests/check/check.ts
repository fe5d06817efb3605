/** `deno task check`: format, lint, types, documentation and import rules, each told by name; ends with 1 if any fails. */
import { importViolations } from "./import_rules.ts";

const root = new URL("../..", import.meta.url).pathname;

/** Whether a command succeeds; what it says is shown only when it does not. */
async function passes(name: string, args: readonly string[]): Promise<boolean> {
  const env = { NO_COLOR: "1" };
  const result = await new Deno.Command(Deno.execPath(), { args: [...args], cwd: root, env })
    .output();
  console.log(`${result.success ? "ok    " : "FAILED"}  ${name}`);
  if (!result.success) {
    await Deno.stderr.write(result.stdout);
    await Deno.stderr.write(result.stderr);
  }
  return result.success;
}

async function sourceFiles(): Promise<string[]> {
  const listing = await new Deno.Command("git", {
    args: ["ls-files", "-co", "--exclude-standard", "--deduplicate", "*.ts"],
    cwd: root,
  }).output();
  const listed = new TextDecoder().decode(listing.stdout).trim().split("\n");
  const present = await Promise.all(
    listed.map((path) => Deno.stat(root + path).then(() => true, () => false)),
  );
  return listed.filter((_, index) => present[index]);
}

async function importsPass(files: readonly string[]): Promise<boolean> {
  const sources = await Promise.all(
    files.map(async (path) => ({ path, text: await Deno.readTextFile(root + path) })),
  );
  const violations = importViolations(sources);
  console.log(`${violations.length === 0 ? "ok    " : "FAILED"}  import rules`);
  for (const { path, message } of violations) console.error(`  ${path} ${message}`);
  return violations.length === 0;
}

const files = await sourceFiles();
const documented = files.filter((path) =>
  /^(lib|daemon|frr)\//.test(path) && !/_test\.ts$|\/testing\/|_cases\.ts$/.test(path)
);
const results = [
  await passes("format", ["fmt", "--check", "--quiet"]),
  await passes("lint", ["lint", "--quiet"]),
  await passes("types", ["check", "--quiet", ...files]),
  await passes("documentation", ["doc", "--lint", "--quiet", ...documented]),
  await importsPass(files),
];
Deno.exit(results.every(Boolean) ? 0 : 1);
