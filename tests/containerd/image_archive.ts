/** Makes images that no registry has, in an archive as `docker save` writes it. */
import { createHash } from "node:crypto";
import type { Holder } from "../lab/holder.ts";

/** An image to make. */
export interface Image {
  /** Its name, with registry and tag. */
  readonly reference: string;
  /** Names of the layers' tar files in the folder, the lowest first. */
  readonly layers: readonly string[];
  /** What it runs. */
  readonly entrypoint: readonly string[];
  /** The entry point's arguments where a pod gives none. */
  readonly command?: readonly string[];
}

/**
 * Packs images into one archive, each layer once, whoever has it.
 *
 * @param machine Where the folder is
 * @param folder With the layers; the images' configurations are written there too
 * @param images What to pack
 * @param archive Path of the archive
 * @see https://github.com/moby/docker-image-spec
 */
export async function archiveImages(
  machine: Pick<Holder, "run">,
  folder: string,
  images: readonly Image[],
  archive: string,
): Promise<void> {
  const layers = [...new Set(images.flatMap((image) => image.layers))];
  const digests = new Map<string, string>();
  for (const layer of layers) {
    const [digest = ""] = (await machine.run(["sha256sum", `${folder}/${layer}`])).split(" ");
    digests.set(layer, `sha256:${digest}`);
  }
  const files: [name: string, text: string][] = [];
  const manifest = images.map((image) => {
    const configuration = JSON.stringify({
      architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
      os: "linux",
      config: { Entrypoint: image.entrypoint, Cmd: image.command ?? [] },
      rootfs: { type: "layers", diff_ids: image.layers.map((layer) => digests.get(layer)) },
    });
    const name = `${createHash("sha256").update(configuration).digest("hex")}.json`;
    files.push([name, configuration]);
    return { Config: name, RepoTags: [image.reference], Layers: image.layers };
  });
  files.push(["manifest.json", JSON.stringify(manifest)]);
  for (const [name, text] of files) {
    await machine.run(["sh", "-ec", `cat > "$0"`, `${folder}/${name}`], { stdin: text });
  }
  const names = [...files.map(([name]) => name), ...layers];
  await machine.run(["tar", "-C", folder, "-cf", archive, ...names]);
}
