/** FRR in memory, at the agent's port: what is configured is up at once. */
import type { FrrClient } from "../../frr/client.ts";
import type { FrrState } from "../../frr/protocol.ts";

/** What FRR was asked to do. */
export interface SimulatedFrr extends FrrClient {
  /** Configurations that changed something. */
  readonly applied: number;
  /** Peers that are configured. */
  readonly peers: number;
}

/**
 * Makes one.
 *
 * @param vrfs Names of the VRFs that the kernel has: zebra finds them there
 */
export function simulateFrr(vrfs: () => readonly string[]): SimulatedFrr {
  let text = "";
  let applied = 0;
  let known: Pick<FrrState, "peers" | "vnis"> = { peers: [], vnis: [] };
  return {
    check: () => Promise.resolve(),
    apply(wanted) {
      const changed = wanted !== text;
      if (changed) {
        text = wanted;
        applied += 1;
        known = readConfiguration(text);
      }
      return Promise.resolve({ changed, lines: [], seconds: 0 });
    },
    state: () =>
      Promise.resolve({
        ready: true,
        epoch: "1",
        vrfs: vrfs().map((name) => ({ name, state: "active", interfaces: [] })),
        ...known,
        daemons: ["bgpd", "staticd", "zebra"],
      }),
    routes: () => Promise.resolve({ routes: [], prefixRoutes: [] }),
    get applied() {
      return applied;
    },
    get peers() {
      return known.peers.length;
    },
    [Symbol.dispose]: () => {},
  };
}

function readConfiguration(text: string): Pick<FrrState, "peers" | "vnis"> {
  const peers = [...text.matchAll(/^ neighbor (\S+) remote-as/gm)].map(([, address = ""]) => ({
    address,
    state: "Established",
    established: true,
    prefixesReceived: 0,
  }));
  const vnis = [...text.matchAll(/^vrf (\S+)\n(?:.*\n)*? vni (\d+)$/gm)].map(
    ([, vrf = "", vni]) => ({ vrf, vni: Number(vni), type: "l3vni", state: "Up" } as const),
  );
  return { peers, vnis };
}
