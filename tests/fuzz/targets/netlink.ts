/** Netlink messages, as the kernel would send them if it were broken, and the announcements of pods. */
import fc from "fast-check";
import { decodeGratuitousArp, encodeGratuitousArp } from "../../../lib/net/arp.ts";
import { decode, viewOf } from "../../../lib/netlink/codec.ts";
import { NetlinkDecodeError } from "../../../lib/netlink/errors.ts";
import { kindTables } from "../../../lib/netlink/link_kinds/link_kind.ts";
import { eachMessage, NLMSG, readAcknowledgement } from "../../../lib/netlink/message.ts";
import { readAddress } from "../../../lib/netlink/rtnl/address.ts";
import { bridgePortAttributes } from "../../../lib/netlink/rtnl/bridge_port.ts";
import { readLink } from "../../../lib/netlink/rtnl/link.ts";
import { readFdb, readNeighbor } from "../../../lib/netlink/rtnl/neighbor.ts";
import { readRoute } from "../../../lib/netlink/rtnl/route.ts";
import { readRule } from "../../../lib/netlink/rtnl/rule.ts";
import { loadFixtures } from "../../fixtures/netlink/fixture.ts";
import { exploringSync } from "../explore.ts";
import { changedBytes } from "../mutation.ts";
import { expectRefusal, type FuzzTarget } from "../target.ts";

const readers = [readLink, readAddress, readRoute, readNeighbor, readFdb, readRule];

/** Datagrams of rtnetlink. */
export const netlinkMessages: FuzzTarget = {
  name: "netlink-messages",
  share: 36,
  begin() {
    const recorded = [...loadFixtures().values()].flatMap(({ exchanges }) =>
      exchanges.map(({ hex }) => Uint8Array.fromHex(hex))
    );
    return Promise.resolve(exploringSync(changedBytes(recorded), (bytes) => {
      try {
        readDatagram(bytes);
      } catch (thrown) {
        expectRefusal(thrown, NetlinkDecodeError);
      }
    }));
  },
};

function readDatagram(bytes: Uint8Array<ArrayBuffer>): void {
  eachMessage(viewOf(bytes), bytes.length, (message) => {
    if (message.type === NLMSG.ERROR || message.type === NLMSG.DONE) readAcknowledgement(message);
    for (const read of readers) read(message);
  });
}

/** The data of each kind of link, which the messages above seldom reach. */
export const netlinkLinkData: FuzzTarget = {
  name: "netlink-link-data",
  share: 10,
  begin() {
    const tables = [...Object.values(kindTables), bridgePortAttributes];
    const attribute = fc.tuple(fc.nat(64), fc.uint8Array({ maxLength: 20 })).map(([type, bytes]) =>
      Uint8Array.from([bytes.length + 4, 0, type, 0, ...bytes, 0, 0, 0].slice(
        0,
        4 + (bytes.length + 3 & ~3),
      ))
    );
    const data = fc.array(attribute, { maxLength: 12 }).map((parts) =>
      Uint8Array.from(parts.flatMap((part) => [...part]))
    );
    return Promise.resolve(
      exploringSync(fc.tuple(fc.constantFrom(...tables), data), ([table, bytes]) => {
        try {
          decode(table, bytes);
        } catch (thrown) {
          expectRefusal(thrown, NetlinkDecodeError);
        }
      }),
    );
  },
};

/** ARP that pods of stretched subnets send. */
export const arpFrames: FuzzTarget = {
  name: "arp-frames",
  share: 4,
  begin() {
    const recorded = [encodeGratuitousArp("02:00:00:00:00:01", "10.150.0.2")];
    return Promise.resolve(exploringSync(changedBytes(recorded), (bytes) => {
      decodeGratuitousArp(bytes);
    }));
  },
};
