/** The FRR agent's socket, with no FRR behind it. */
import { startTestAgent } from "../../../frr/testing/agent.ts";
import { exploring } from "../explore.ts";
import { changedBytes } from "../mutation.ts";
import type { FuzzTarget } from "../target.ts";
import { sendRaw } from "./raw_http.ts";

const encoder = new TextEncoder();

function message(method: string, path: string, body: string): Uint8Array<ArrayBuffer> {
  const head = `${method} ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n`;
  return encoder.encode(`${head}content-length: ${encoder.encode(body).length}\r\n\r\n${body}`);
}

/** Whole HTTP messages. */
export const frrAgentMessages: FuzzTarget = {
  name: "frr-agent-messages",
  share: 0.1,
  async begin() {
    const directory = Deno.makeTempDirSync({ prefix: "pr2t-fuzz-" });
    const agent = await startTestAgent({ vtyDir: directory, confDir: directory });
    const recorded = [
      message("POST", "/check", "router bgp 65000\n"),
      message("GET", "/routes?vrf=vrf-200", ""),
      message("GET", "/state", ""),
    ];
    return exploring({
      inputs: changedBytes(recorded),
      attempt: async (bytes) => {
        const text = await sendRaw(agent.socketPath, bytes);
        if (
          text === "" || /^HTTP\/1\.1 (200|400|404|405|408|411|413|414|422|431|503|505) /.test(text)
        ) return;
        throw new Error(`Expected an answer or a closed connection, found ${text.slice(0, 200)}`);
      },
      [Symbol.asyncDispose]: async () => {
        await agent[Symbol.asyncDispose]();
        Deno.removeSync(directory, { recursive: true });
      },
    });
  },
};
