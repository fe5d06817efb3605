/**
 * The images of the DaemonSet, put together where no registry has them: what the Containerfile installs is taken from this
 * machine's packages, and what it compiles from `dist/`.
 */
import { parse } from "yaml";
import { z } from "zod";
import { archiveImages, type Image } from "../../containerd/image_archive.ts";
import { repository } from "../../lab/options.ts";
import { execute } from "../../lab/process.ts";
import { parseStage } from "./containerfile.ts";
import { filesOf, installedPackages, withDependencies } from "./debian_packages.ts";

/** What packages make as they are installed, and every Debian system has. */
const madeByPackages = [
  ...["/bin", "/sbin", "/lib", "/lib64", "/var/run", "/var/lock"],
  ...["/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/alternatives/awk", "/usr/bin/awk"],
  // vtysh asks PAM.
  ...["account", "auth", "password", "session"].map((kind) => `/etc/pam.d/common-${kind}`),
];

const kustomizationSchema = z.object({
  images: z.array(z.object({ name: z.string(), newName: z.string(), newTag: z.string() })),
});

/**
 * Makes both images.
 *
 * @param dist Folder with the built programs
 * @param folder Where to work; what is left there is the archive
 * @returns Path of the archive with both
 */
export async function makeDaemonSetImages(dist: string, folder: string): Promise<string> {
  const work = `${folder}/images`;
  await Deno.mkdir(work);
  const installed = await installedPackages();
  const required = installed.filter((each) => each.required).map(({ name }) => name);
  const base = withDependencies(installed, required);
  const baseFiles = [...madeByPackages, ...await filesOf(base)];
  await packFiles(`${work}/base.tar`, baseFiles);
  const containerfile = await Deno.readTextFile(`${repository}/Containerfile`);
  const { images: names } = kustomizationSchema.parse(
    parse(await Deno.readTextFile(`${repository}/manifests/base/kustomization.yaml`)),
  );
  const runtime = await isFile(`${dist}/deno`) ? ["runtime.tar"] : [];
  // A bundle's runtime stands beside it.
  if (runtime.length > 0) await packPrograms(`${work}/runtime.tar`, dist, ["deno"]);
  await packConfiguration(`${work}/pyroute2-frr-configuration.tar`, work);
  const images: Image[] = [];
  for (const { name, newName, newTag } of names) {
    const { packages, programs, entrypoint, command } = parseStage(containerfile, name);
    const more = withDependencies(installed, packages).difference(base);
    await packFiles(`${work}/${name}-packages.tar`, await filesOf(more));
    await packPrograms(`${work}/${name}-programs.tar`, dist, programs);
    const layers = ["base.tar", ...runtime, `${name}-packages.tar`, `${name}-programs.tar`];
    if (name === "pyroute2-frr") layers.push(`${name}-configuration.tar`);
    images.push({ reference: `${newName}:${newTag}`, layers, entrypoint, command });
  }
  const archive = `${folder}/images.tar`;
  await archiveImages({ run: execute }, work, images, archive);
  await Deno.remove(work, { recursive: true });
  return archive;
}

async function packFiles(archive: string, paths: readonly string[]): Promise<void> {
  await execute([
    ...["tar", "--create", "--file", archive, "--directory", "/", "--no-recursion"],
    ...["--numeric-owner", "--files-from", "-"],
  ], { stdin: [...new Set(paths)].map((path) => `.${path}\n`).join("") });
}

async function packPrograms(
  archive: string,
  dist: string,
  names: readonly string[],
): Promise<void> {
  await execute([
    ...["tar", "--create", "--file", archive, "--directory", dist],
    ...["--owner=0", "--group=0", "--transform=s,^,./usr/local/bin/,", ...names],
  ]);
}

/** FRR's files as the Containerfile copies them: those of the project, and an empty configuration. */
async function packConfiguration(archive: string, work: string): Promise<void> {
  const script = `mkdir "$0"; cp "$1/frr/daemons" "$1/frr/vtysh.conf" "$0"; : > "$0/frr.conf"
chmod 640 "$0"/*
tar --create --file "$2" --directory "$0" --owner=frr --group=frr --numeric-owner \\
  --transform=s,^,./etc/frr/, daemons vtysh.conf frr.conf`;
  await execute(["sh", "-ec", script, `${work}/frr`, repository, archive]);
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then(({ isFile }) => isFile, () => false);
}
