/**
 * What the programs are made of besides this project's sources: a bill of materials (CycloneDX 1.5, JSON) and a list of licenses, from the
 * lock file and the packages themselves. The same sources give the same bytes.
 */
import { BuildError, root } from "./compile.ts";
import { join } from "node:path";
import { version } from "../daemon/version.ts";

/** Packages that only tests import. */
const testsOnly: readonly string[] = ["fast-check"];

/** A package of the lock file. */
export interface LockedPackage {
  /** Name, with its scope. */
  readonly name: string;
  /** Version. */
  readonly version: string;
  /** Digest of its archive, as npm writes it. */
  readonly integrity: string;
  /** Its own packages, by name and version. */
  readonly dependencies: readonly string[];
}

/** A package with what it says of itself. */
export interface Material extends LockedPackage {
  /** SPDX expression. */
  readonly license: string;
}

interface LockFile {
  readonly specifiers: Readonly<Record<string, string>>;
  readonly npm: Readonly<
    Record<string, { readonly integrity: string; readonly dependencies?: readonly string[] }>
  >;
}

/** The packages that the programs are made of: those that the lock file pins, without what only tests use. */
export function lockedPackages(lock: LockFile): readonly LockedPackage[] {
  const keys = Object.keys(lock.npm);
  const roots = Object.entries(lock.specifiers).flatMap(([specifier, found]) => {
    const name = nameOf(specifier.replace(/^npm:/, ""));
    return testsOnly.includes(name) ? [] : [keyOf(keys, `${name}@${found}`)];
  });
  const reached = new Map<string, LockedPackage>();
  const open = [...roots];
  for (let key = open.pop(); key !== undefined; key = open.pop()) {
    const entry = lock.npm[key];
    if (entry === undefined || reached.has(key)) continue;
    const dependencies = (entry.dependencies ?? []).map((each) => keyOf(keys, each));
    open.push(...dependencies);
    reached.set(key, {
      ...identity(key),
      integrity: entry.integrity,
      dependencies: dependencies.map((each) => plain(each)).toSorted(),
    });
  }
  return [...reached.values()].toSorted((a, b) => reference(a) < reference(b) ? -1 : 1);
}

/** A package's key: a dependency is named with its version only where there are several. */
function keyOf(keys: readonly string[], wanted: string): string {
  const exact = wanted.lastIndexOf("@") > 0;
  const key = keys.find((key) => exact ? plain(key) === plain(wanted) : nameOf(key) === wanted);
  if (key !== undefined) return key;
  throw new BuildError(
    "LockIncomplete",
    `Expected the package "${wanted}" in deno.lock, found none; run "deno install" and try again`,
  );
}

/** `name@version`, without the peers that a key names behind it. */
function plain(key: string): string {
  return key.split("_")[0] ?? key;
}

function nameOf(key: string): string {
  const text = plain(key);
  const at = text.lastIndexOf("@");
  return at > 0 ? text.slice(0, at) : text;
}

function identity(key: string): { name: string; version: string } {
  const name = nameOf(key);
  return { name, version: plain(key).slice(name.length + 1) };
}

function reference({ name, version }: Pick<LockedPackage, "name" | "version">): string {
  return `pkg:npm/${name.replace("@", "%40")}@${version}`;
}

/** The bill of materials. */
export function billOfMaterials(materials: readonly Material[], denoVersion: string): string {
  const application = `pkg:generic/pyroute2-cni@${version}`;
  const runtime = `pkg:generic/deno@${denoVersion}`;
  const references = new Map(
    materials.map((each) => [`${each.name}@${each.version}`, reference(each)]),
  );
  const bill = {
    $schema: "http://cyclonedx.org/schema/bom-1.5.schema.json",
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: {
        type: "application",
        "bom-ref": application,
        name: "pyroute2-cni",
        version,
        licenses: [{ license: { id: "Apache-2.0" } }],
      },
    },
    components: [
      {
        type: "platform",
        "bom-ref": runtime,
        name: "deno",
        version: denoVersion,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...materials.map((each) => ({
        type: "library",
        "bom-ref": reference(each),
        name: each.name,
        version: each.version,
        purl: reference(each),
        ...each.license === unknownLicense ? {} : { licenses: [{ expression: each.license }] },
        hashes: [{ alg: "SHA-512", content: hexOf(each.integrity) }],
      })),
    ],
    dependencies: [
      { ref: application, dependsOn: [runtime, ...references.values()] },
      ...materials.map((each) => ({
        ref: reference(each),
        dependsOn: each.dependencies.map((key) => references.get(key) ?? key),
      })),
    ],
  };
  return `${JSON.stringify(bill, undefined, 2)}\n`;
}

function hexOf(integrity: string): string {
  return Uint8Array.fromBase64(integrity.replace(/^sha512-/, "")).toHex();
}

/** The list of licenses, a package a line. */
export function licenseList(materials: readonly Material[]): string {
  return materials.map(({ name, version, license }) => `${name} ${version} ${license}\n`).join("");
}

/** Stands for the license of a package that does not tell it, in SPDX's word. */
const unknownLicense = "NOASSERTION";

/**
 * Reads what the programs are made of.
 *
 * @throws {BuildError} `LockIncomplete`
 */
export async function readMaterials(): Promise<readonly Material[]> {
  const lock: LockFile = JSON.parse(Deno.readTextFileSync(join(root, "deno.lock")));
  const folder = await packageFolder();
  return lockedPackages(lock).map((each) => ({ ...each, license: licenseOf(folder, each) }));
}

/** Where Deno keeps npm packages. */
async function packageFolder(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  const info: unknown = JSON.parse(new TextDecoder().decode(stdout));
  const folder: unknown = Reflect.get(Object(info), "npmCache");
  return join(String(folder), "registry.npmjs.org");
}

function licenseOf(folder: string, { name, version }: LockedPackage): string {
  try {
    const text = Deno.readTextFileSync(join(folder, name, version, "package.json"));
    const license: unknown = Reflect.get(Object(JSON.parse(text)), "license");
    return typeof license === "string" ? license : unknownLicense;
  } catch (thrown) {
    // A package that no program imports need not be on this machine.
    if (thrown instanceof Deno.errors.NotFound) return unknownLicense;
    throw thrown;
  }
}
