/** Messages of one ADD through the netlink codec, for `deno bench`. */
import { ByteWriter } from "../../lib/netlink/byte_writer.ts";
import { viewOf } from "../../lib/netlink/codec.ts";
import { eachMessage, NLM_F, writeMessage } from "../../lib/netlink/message.ts";
import { readLink } from "../../lib/netlink/rtnl/link.ts";
import { creationRequests } from "../../lib/netlink/rtnl/link_creation.ts";
import { loadFixtures } from "../fixtures/netlink/fixture.ts";

const writer = new ByteWriter();

Deno.bench("encode a pod's veth with its port (3 messages)", () => {
  writer.clear();
  const requests = creationRequests({
    name: "cni0123456789a",
    kind: {
      type: "veth",
      peer: { name: "eth0", netnsFd: 7, mtu: 1450, address: "02:00:00:00:00:01" },
    },
    mtu: 1450,
    address: "02:00:00:00:00:02",
    alias: "pod shop/web-0 eth0",
    master: 5,
    bridgePort: { hairpin: true },
    addrGenMode: "none",
    up: true,
  }, "to bench");
  for (const { type, flags, writePayload } of requests) {
    writeMessage(writer, type, NLM_F.REQUEST | NLM_F.ACK | flags, 1, writePayload);
  }
  if (writer.written().length < 200) throw new Error("Expected three messages, found less");
});

/** Replies of the kernel to a dump of links. */
const dump = [...loadFixtures()].filter(([name]) => /link_show/.test(name)).flatMap(([, fixture]) =>
  fixture.exchanges.filter(({ direction }) => direction === "reply")
    .map(({ hex }) => Uint8Array.fromHex(hex))
);
const views = dump.map((bytes) => ({ view: viewOf(bytes), length: bytes.length }));

function decodeLinks(): number {
  let found = 0;
  for (const { view, length } of views) {
    eachMessage(view, length, (message) => {
      if (readLink(message) !== undefined) found++;
    });
  }
  return found;
}

const links = decodeLinks();

Deno.bench(`decode ${links} links of a dump`, () => {
  if (decodeLinks() !== links) throw new Error("Expected all links, found another number");
});
