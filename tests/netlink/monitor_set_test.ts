import assert from "node:assert/strict";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { MonitorSet } from "../../lib/netlink/monitor_set.ts";
import { createLink, readLink } from "../../lib/netlink/rtnl/link.ts";
import { RTM, RTNLGRP } from "../../lib/netlink/rtnl/types.ts";
import { createNetns } from "../../lib/sys/netns.ts";

function openFds(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

Deno.test("Several namespaces are listened to at once; one that is left tells nothing more, and nothing stays open", async () => {
  const before = openFds();
  {
    using set = new MonitorSet();
    using one = createNetns();
    using two = createNetns();
    using inOne = NetlinkConnection.open({ netns: one });
    using inTwo = NetlinkConnection.open({ netns: two });
    const controller = new AbortController();
    const told: string[] = [];
    let wanted = "";
    let arrived = () => {};
    const until = (line: string): Promise<void> => {
      wanted = line;
      const { promise, resolve } = Promise.withResolvers<void>();
      arrived = resolve;
      return told.includes(line) ? Promise.resolve() : promise;
    };
    const listen = (name: string, netns: typeof one) =>
      set.add(name, {
        netns,
        groups: [RTNLGRP.LINK],
        onLost: () => told.push(`${name} lost`),
        onMessage: (message) => {
          const link = readLink(message);
          if (link === undefined || message.type !== RTM.NEWLINK) return;
          told.push(`${name} ${link.name}`);
          if (told.at(-1) === wanted) arrived();
        },
      });
    listen("one", one);
    const running = set.run(controller.signal);
    // While it waits already.
    listen("two", two);
    createLink(inTwo, { name: "b", kind: { type: "bridge" } });
    await until("two b");
    createLink(inOne, { name: "a", kind: { type: "bridge" } });
    await until("one a");
    set.delete("one");
    createLink(inOne, { name: "unheard", kind: { type: "bridge" } });
    createLink(inTwo, { name: "c", kind: { type: "bridge" } });
    await until("two c");
    assert.ok(!told.includes("one unheard"), String(told));
    controller.abort();
    await running;
  }
  assert.equal(openFds(), before);
});

Deno.test("A namespace whose listener fails ends the run with its error", async () => {
  using set = new MonitorSet();
  using netns = createNetns();
  using c = NetlinkConnection.open({ netns });
  set.add("one", {
    netns,
    groups: [RTNLGRP.LINK],
    onLost: () => {},
    onMessage: () => {
      throw new RangeError("enough");
    },
  });
  const running = set.run(new AbortController().signal);
  createLink(c, { name: "br0", kind: { type: "bridge" } });
  await assert.rejects(running, RangeError);
});
