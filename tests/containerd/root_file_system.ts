/** What containers consist of: busybox alone, as a directory and as an image. */
import { locate } from "../prerequisites.ts";
import type { Holder } from "../lab/holder.ts";
import { answerPort } from "../lab/topology.ts";
import { archiveImages } from "./image_archive.ts";
import { runtimeDirectory } from "./node_directories.ts";

/** Directory with the containers' root file system, on the node. */
export const rootFileSystem = `${runtimeDirectory}/rootfs`;

/** Name of the image with the same content. It answers with its host's name. */
export const imageName = "docker.io/pyroute2/responder:1";

/** Command of a container that answers TCP connections with its name. */
export function respondWith(name: string): readonly string[] {
  return ["/bin/nc", "-ll", "-p", String(answerPort), "-e", "/bin/echo", name];
}

/** Makes the directory. */
export async function makeRootFileSystem(holder: Holder): Promise<void> {
  const busybox = await locate({ lookFor: ["/bin/busybox"], packages: ["busybox-static"] });
  // The runtime's mount points are made here, so that containers that start at once need not.
  await holder.run([
    "sh",
    "-ec",
    `mkdir -p "$0/bin" "$0/dev" "$0/etc" "$0/proc" "$0/run" "$0/sys" "$0/tmp"
    cp "$1" "$0/bin/busybox"
    for name in cat echo hostname httpd ip nc rm sh sleep touch true; do ln -s busybox "$0/bin/$name"; done`,
    rootFileSystem,
    busybox ?? "/bin/busybox",
  ]);
}

/** Makes the image as `docker save` would and gives the path of its archive, on the node. */
export async function makeImage(holder: Holder): Promise<string> {
  const folder = `${runtimeDirectory}/image`;
  await holder.run([
    "sh",
    "-ec",
    `mkdir "$0"; tar -C "$1" -cf "$0/layer.tar" .`,
    folder,
    rootFileSystem,
  ]);
  const archive = `${runtimeDirectory}/image.tar`;
  const entrypoint = ["/bin/nc", "-ll", "-p", String(answerPort), "-e", "/bin/hostname"];
  await archiveImages(
    holder,
    folder,
    [{ reference: imageName, layers: ["layer.tar"], entrypoint }],
    archive,
  );
  return archive;
}
