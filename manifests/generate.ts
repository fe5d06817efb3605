/**
 * Writes what is made from the sources: `crds/`, `base/rbac.yaml`, the table of permissions in `docs/rbac.md`, the seccomp profiles in
 * `seccomp/`, and in `docs/install/` what an installation on a host writes.
 *
 * Usage: deno run -A manifests/generate.ts [--check]
 *
 * With `--check` nothing is written; it names what differs and ends with 1.
 */
import { basename, join } from "node:path";
import { stringify } from "yaml";
import { parseConfig } from "../daemon/config.ts";
import { conflistName, renderStandaloneConflist } from "../daemon/install/conflist.ts";
import { layout, units } from "../daemon/install/layout.ts";
import { renderServerIni } from "../daemon/install/server_ini.ts";
import { apiServerUnit, daemonUnit, frrAgentUnit, netnsTmpfiles } from "../daemon/install/units.ts";
import { ownKinds } from "../daemon/resources/registry.ts";
import { crdFileName, crdOf, type Manifest } from "./crd.ts";
import { rbacPage, roleManifests } from "./rbac.ts";
import { seccompProfiles } from "./seccomp.ts";

const root = join(import.meta.dirname ?? ".", "..");

/** All generated files: text by path from the repository's root. */
export function generatedFiles(): ReadonlyMap<string, string> {
  const crds = ownKinds.map((kind): [string, string] => [
    `manifests/crds/${crdFileName(kind)}`,
    toYaml("daemon/resources", [crdOf(kind)]),
  ]);
  const kustomization = {
    apiVersion: "kustomize.config.k8s.io/v1beta1",
    kind: "Kustomization",
    resources: ownKinds.map(crdFileName).toSorted(),
  };
  return new Map([
    ...crds,
    ["manifests/crds/kustomization.yaml", toYaml("daemon/resources", [kustomization])],
    ["manifests/base/rbac.yaml", toYaml("manifests/rbac.ts", roleManifests())],
    ["docs/rbac.md", rbacPage()],
    ...[...seccompProfiles()].map(([name, profile]): [string, string] => [
      `manifests/seccomp/${name}`,
      `${JSON.stringify(profile, null, 2)}\n`,
    ]),
    ...hostFiles(),
  ]);
}

/** To be read, and for installations by hand: the daemon's unit is the one that suits both backends. */
function hostFiles(): readonly [string, string][] {
  const kubeconfig = layout.kubeconfig;
  const settings = { nodeName: undefined, vrfBackend: undefined, register: true, kubeconfig };
  const config = parseConfig("");
  const files: readonly [string, string][] = [
    [units.api, apiServerUnit({ host: "192.0.2.11", port: 6443 })],
    [units.agent, frrAgentUnit(config.frr.socket_path)],
    [units.daemon, daemonUnit({ withApi: false, backend: "netns", config })],
    [basename(layout.tmpfiles), netnsTmpfiles],
    [basename(layout.serverIni), renderServerIni(settings)],
    [conflistName, renderStandaloneConflist(config.api)],
  ];
  return files.map(([name, text]) => [`docs/install/${name}`, text]);
}

/** Paths of generated files that are absent, differ, or stand among the definitions without being generated. */
export async function driftedFiles(): Promise<readonly string[]> {
  const generated = generatedFiles();
  const drifted: string[] = [];
  for (const [path, text] of generated) {
    const found = await Deno.readTextFile(join(root, path)).catch(ignoreAbsence);
    if (found !== text) drifted.push(path);
  }
  for await (const { name } of Deno.readDir(join(root, "manifests/crds"))) {
    const path = `manifests/crds/${name}`;
    if (!generated.has(path)) drifted.push(path);
  }
  return drifted;
}

function toYaml(source: string, manifests: readonly Manifest[]): string {
  const header =
    `# Generated from ${source} by \`deno run -A manifests/generate.ts\`: do not edit.\n`;
  const documents = manifests.map((manifest) =>
    stringify(manifest, { lineWidth: 0, aliasDuplicateObjects: false })
  );
  return `${header}${documents.join("---\n")}`;
}

function ignoreAbsence(thrown: unknown): undefined {
  if (!(thrown instanceof Deno.errors.NotFound)) throw thrown;
  return undefined;
}

async function main(args: readonly string[]): Promise<number> {
  const drifted = await driftedFiles();
  if (args.includes("--check")) {
    for (const path of drifted) console.error(`differs from its source: ${path}`);
    return drifted.length === 0 ? 0 : 1;
  }
  const generated = generatedFiles();
  for (const path of drifted) {
    const text = generated.get(path);
    if (text === undefined) await Deno.remove(join(root, path));
    else await Deno.writeTextFile(join(root, path), text);
    console.log(`${text === undefined ? "removed" : "written"}: ${path}`);
  }
  return 0;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
