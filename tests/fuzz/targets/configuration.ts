/** The daemon's own file. */
import { ConfigError, parseConfig } from "../../../daemon/config.ts";
import { IniError } from "../../../daemon/ini.ts";
import { exploringSync } from "../explore.ts";
import { changedText } from "../mutation.ts";
import { expectRefusal, type FuzzTarget } from "../target.ts";

/** `server.ini`. */
export const serverIni: FuzzTarget = {
  name: "server-ini",
  share: 8,
  begin() {
    const shipped = Deno.readTextFileSync(
      new URL("../../../docs/install/server.ini", import.meta.url),
    );
    const sections = shipped.split(/^(?=\[)/m);
    const every = `[default]\nprefix = none\nprefix6 = fd00::\nservice_cidrs = 10.96.0.0/12\n` +
      `[node]\nmark_mask = 0xffff3fff\nnat66 = true\n[bgp]\nasn = 65000\n`;
    return Promise.resolve(exploringSync(changedText([shipped, ...sections, every]), (text) => {
      try {
        parseConfig(text);
      } catch (thrown) {
        expectRefusal(thrown, ConfigError, IniError);
      }
    }));
  },
};
