/** A node's kernel in memory, at the ports that the design names: what it is told to make stands at once. */
import type { Kernel, ObservedOverlay, OverlaySpec, VrfSpec } from "../../daemon/kernel/port.ts";
import type { NodeFirewall } from "../../daemon/firewall/node_firewall.ts";
import type { NextHops } from "../../daemon/reconcile/keep_next_hops.ts";
import type { Announcements } from "../../daemon/reconcile/relay_announcements.ts";

interface SimulatedVrf {
  spec: VrfSpec;
  readonly overlays: Map<string, OverlaySpec>;
}

/** The parts of a machine that a simulated node does without. */
export interface SimulatedMachine {
  /** Links, addresses, routes and rules. */
  readonly kernel: Kernel;
  /** The firewall: takes everything. */
  readonly firewall: NodeFirewall;
  /** Loses nothing. */
  readonly nextHops: NextHops;
  /** Hears nothing. */
  readonly announcements: Announcements;
}

/**
 * Makes one.
 *
 * @param address The node's VTEP address
 */
export function simulateMachine(address: string): SimulatedMachine {
  return {
    kernel: simulateKernel(address),
    firewall: {
      sync: () => Promise.resolve({ changed: false }),
      syncNamespaces: () => Promise.resolve([]),
      stands: () => Promise.resolve(true),
      remove: () => Promise.resolve(),
    },
    nextHops: { keep: () => [], put: () => {} },
    announcements: { relay: () => {} },
  };
}

function simulateKernel(address: string): Kernel {
  const vrfs = new Map<number, SimulatedVrf>();
  const underlay = { ifname: "eth0", ifindex: 2, address, mtu: 1500 };
  const find = (name: string) => [...vrfs.values()].find(({ spec }) => spec.name === name);
  return {
    backend: "device",
    underlay: () => underlay,
    outwardLinks: () => [underlay.ifname],
    observe: () => ({
      vrfs: new Map([...vrfs].map(([vrf, { spec, overlays }]) => [vrf, {
        vrf,
        name: spec.name,
        table: spec.table,
        overlays: [...overlays.values()].map(observedOverlay),
        blocks: spec.blocks,
        matches: (wanted: VrfSpec) => sameVrf(wanted, spec),
      }])),
      rules: [],
    }),
    ensureVrf(spec) {
      const known = vrfs.get(spec.vrf);
      if (known === undefined) vrfs.set(spec.vrf, { spec, overlays: new Map() });
      else known.spec = spec;
    },
    ensureOverlay(spec, overlay) {
      vrfs.get(spec.vrf)?.overlays.set(overlay.bridge, overlay);
    },
    countAddresses: () => 0,
    announceVrf: () => {},
    announceGateways: () => {},
    announcePods: () => {},
    askAddressesBack: () => {},
    removeOverlay(name, { bridge }) {
      find(name)?.overlays.delete(bridge);
      return Promise.resolve();
    },
    detachVrf: () => Promise.resolve(),
    removeVrf({ vrf }) {
      vrfs.delete(vrf);
      return Promise.resolve();
    },
    syncRules: () => ({ added: 0, deleted: 0, refused: [] }),
    syncVtepRoutes: () => ({ added: 0, deleted: 0 }),
    ingressInterfaces: ({ vrf }) => [`vrf-${vrf}`],
    neighborPrefixes: () => [],
    ownNamespace: () => undefined,
    connection: () => undefined,
    namespace: () => undefined,
    attachmentPoint: () => {
      throw new TypeError("Expected no pod's interface in a simulation");
    },
    [Symbol.dispose]: () => {},
  };
}

function sameVrf(a: VrfSpec, b: VrfSpec): boolean {
  return a.table === b.table && a.blocks.join() === b.blocks.join();
}

function observedOverlay(made: OverlaySpec): ObservedOverlay {
  const { bridge, vxlan, gateways } = made;
  return {
    bridge,
    vxlan,
    gateways,
    misfits: () => [],
    matches: (wanted) =>
      wanted.vni === made.vni && wanted.ports.length === made.ports.length &&
      wanted.gateways.map((gateway) => gateway.address).join() ===
        gateways.map((gateway) => gateway.address).join(),
  };
}
