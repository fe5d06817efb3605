import assert from "node:assert/strict";
import type { FrrPeerState } from "../../frr/protocol.ts";
import type { MaxPrefixes } from "../resources/bgp_peer.ts";
import type { Peer } from "./peers.ts";
import { createPrefixLimits, type ShutPeer, type ShutPeers } from "./prefix_limits.ts";

const [a, b] = ["192.0.2.1", "192.0.2.2"] as const;

function peer(address: string, maxPrefixes?: MaxPrefixes): Peer {
  return { address, remoteAs: "internal", ...maxPrefixes === undefined ? {} : { maxPrefixes } };
}

function state(address: string, prefixesReceived: number, established = true): FrrPeerState {
  return { address, state: established ? "Established" : "Idle", established, prefixesReceived };
}

/** What a daemon remembers, and its clock. */
class World {
  now = 1_000_000;
  kept: ReadonlyMap<string, ShutPeer> = new Map();
  readonly shut: ShutPeers = {
    all: () => this.kept,
    replace: (peers) => this.kept = peers,
  };

  daemon() {
    const limits = createPrefixLimits(this.shut, () => this.now);
    return {
      saw: limits.saw,
      judge: limits.judge,
      /** Addresses of the peers that are shut down. */
      shut: (...peers: Peer[]) =>
        limits.judge(peers).peers.filter(({ shutdown }) => shutdown === true)
          .map(({ address }) => address),
    };
  }
}

Deno.test("a peer over its limit is shut down, one at it and one without a limit are not", () => {
  const daemon = new World().daemon();
  const peers = [peer(a, { limit: 10 }), peer(b)];
  assert.deepEqual(daemon.shut(...peers), []);
  assert.equal(daemon.saw([state(a, 10), state(b, 9_999)]), false);
  assert.deepEqual(daemon.shut(...peers), []);
  assert.equal(daemon.saw([state(a, 11), state(b, 9_999)]), true);
  const judged = daemon.judge(peers);
  assert.deepEqual(judged.peers, [
    { address: a, remoteAs: "internal", shutdown: true },
    { address: b, remoteAs: "internal" },
  ]);
  assert.deepEqual(judged.overLimit, [{
    address: a,
    shut: true,
    message:
      `Expected at most 10 routes of the peer "${a}", found 11; it is shut down until its maxPrefixes is changed`,
  }]);
});

Deno.test("a peer that is shut down stays so while it sends nothing, over a restart of the daemon too", () => {
  const world = new World();
  const daemon = world.daemon();
  const limited = peer(a, { limit: 10 });
  daemon.shut(limited);
  daemon.saw([state(a, 11)]);
  assert.deepEqual(daemon.shut(limited), [a]);
  assert.equal(daemon.saw([state(a, 0, false)]), false);
  world.now += 10 ** 9;
  assert.deepEqual(daemon.shut(limited), [a]);
  assert.deepEqual(world.daemon().shut(limited), [a]);
});

Deno.test("another limit is another chance, and so is no limit", () => {
  for (const next of [peer(a, { limit: 20 }), peer(a, { limit: 10, warnOnly: true }), peer(a)]) {
    const daemon = new World().daemon();
    daemon.shut(peer(a, { limit: 10 }));
    daemon.saw([state(a, 15)]);
    assert.deepEqual(daemon.shut(peer(a, { limit: 10 })), [a]);
    daemon.saw([state(a, 0, false)]);
    assert.deepEqual(daemon.shut(next), []);
    assert.deepEqual(daemon.shut(), []);
    assert.deepEqual(daemon.shut(peer(a, { limit: 10 })), []);
  }
});

Deno.test("after its time a peer is spoken with again, and shut down again if it has not learnt", () => {
  const world = new World();
  const daemon = world.daemon();
  const limited = peer(a, { limit: 10, restartSeconds: 30 });
  daemon.shut(limited);
  daemon.saw([state(a, 11)]);
  assert.deepEqual(daemon.shut(limited), [a]);
  world.now += 29_999;
  assert.equal(daemon.saw([state(a, 0, false)]), false);
  assert.deepEqual(daemon.shut(limited), [a]);
  world.now += 1;
  assert.equal(daemon.saw([state(a, 0, false)]), true);
  assert.deepEqual(daemon.shut(limited), []);
  assert.equal(daemon.saw([state(a, 11)]), true);
  const { overLimit } = daemon.judge([limited]);
  assert.match(overLimit[0]?.message ?? "", /shut down until 1970-01-01T00:17:40\.000Z$/);
});

Deno.test("what was seen of a peer before its time was over does not shut it down again", () => {
  const world = new World();
  const daemon = world.daemon();
  const limited = peer(a, { limit: 10, restartSeconds: 30 });
  daemon.shut(limited);
  daemon.saw([state(a, 11)]);
  assert.deepEqual(daemon.shut(limited), [a]);
  world.now += 30_000;
  assert.deepEqual(daemon.shut(limited), []);
  assert.deepEqual(daemon.shut(limited), []);
});

Deno.test("a limit that only warns shuts nothing down, and says so while there are more", () => {
  const daemon = new World().daemon();
  const limited = peer(a, { limit: 10, warnOnly: true });
  daemon.shut(limited);
  assert.equal(daemon.saw([state(a, 11)]), false);
  const { peers, overLimit, limited: some } = daemon.judge([limited]);
  assert.deepEqual(peers, [{ address: a, remoteAs: "internal" }]);
  assert.deepEqual(overLimit.map(({ shut }) => shut), [false]);
  assert.equal(some, true);
  daemon.saw([state(a, 10)]);
  assert.deepEqual(daemon.judge([limited]).overLimit, []);
  assert.equal(daemon.judge([peer(a)]).limited, false);
});
