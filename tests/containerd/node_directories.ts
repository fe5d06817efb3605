/**
 * Gives a node the directories of a container runtime for its own. `ctr` and containerd have paths built in that may not exist on
 * the host, so the node sees an overlay where they lie: what is written stays in the node's memory and goes with it.
 */
import type { Holder } from "../lab/holder.ts";

/** Everything of the runtime's own on a node: the root file system of its containers, its state and its socket. */
export const runtimeDirectory = "/run/runtime";

/** Where `ctr` and the CRI plugin look for network configurations. */
export const configurationDirectory = "/etc/cni/net.d";

/** Where they look for plugins first. */
export const pluginDirectory = "/opt/cni/bin";

// What is mounted below a directory, and what the others of the lab write there, stays visible through the overlay.
const script = `
for name in etc opt var/lib; do
  layers=${runtimeDirectory}/overlay/$name
  mkdir -p $layers/upper $layers/work $layers/merged
  mount -t overlay overlay \
    -o lowerdir=/$name,upperdir=$layers/upper,workdir=$layers/work $layers/merged
  { awk -v below="/$name/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo
    case "$1" in /$name/*) echo "$1" ;; esac
  } | while read -r path; do
    mount --bind "$path" "$layers/merged\${path#/$name}"
  done
  mount --rbind $layers/merged /$name
done
for directory in /etc/cni /opt/cni /var/lib/cni; do
  mkdir -p $directory
  mount -t tmpfs tmpfs $directory
done
mkdir -p ${configurationDirectory} ${pluginDirectory}
if [ -n "$2" ]; then cp "$2/pyroute2-cni-plugin" ${pluginDirectory}; fi
ln -s /usr/lib/cni/* ${pluginDirectory} # containerd's CRI calls "loopback" for every pod
`;

/**
 * Makes the directories.
 *
 * @param holder The node
 * @param shared A directory of the host that the node goes on sharing
 * @param dist Folder with the built plugin; absent where something else shall install it
 */
export async function makeNodeDirectories(
  holder: Holder,
  shared: string,
  dist: string | undefined,
): Promise<void> {
  await holder.run(["sh", "-ec", script, "sh", shared, dist ?? ""]);
}
