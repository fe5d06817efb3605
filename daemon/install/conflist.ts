/** The CNI configuration of a host without a cluster. Pure. */
import { podAnnotationsKey } from "../../lib/cni/wishes.ts";
import { networkName } from "../controllers/conflist.ts";
import { parseConfig } from "../config.ts";
import { pluginName } from "./programs.ts";

/** Name of the file; runtimes take the first of their folder. */
export const conflistName = "05-pyroute2.conflist";

/** Sockets at which the plugin finds the daemon. */
export interface PluginSockets {
  /** Socket for CNI data. */
  readonly socket_path_api: string;
  /** Socket for descriptors. */
  readonly socket_path_fd: string;
}

/** Renders the list: this plugin alone, told of the sockets where they are not the usual ones. */
export function renderStandaloneConflist(sockets: PluginSockets): string {
  const usual = parseConfig("").api;
  const named = {
    ...sockets.socket_path_api === usual.socket_path_api
      ? {}
      : { socketPathApi: sockets.socket_path_api },
    ...sockets.socket_path_fd === usual.socket_path_fd
      ? {}
      : { socketPathFd: sockets.socket_path_fd },
  };
  // Runtimes hand a pod's annotations to plugins that ask for them: its wishes are there.
  const capabilities = { [podAnnotationsKey]: true };
  const list = {
    cniVersion: "1.0.0",
    name: networkName,
    plugins: [{ type: pluginName, capabilities, ...named }],
  };
  return `${JSON.stringify(list, undefined, 2)}\n`;
}
