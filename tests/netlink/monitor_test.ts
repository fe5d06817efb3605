import assert from "node:assert/strict";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";
import { monitor } from "../../lib/netlink/monitor.ts";
import { createLink, deleteLink, readLink } from "../../lib/netlink/rtnl/link.ts";
import { addRule, deleteRule, readRule } from "../../lib/netlink/rtnl/rule.ts";
import { RTM, RTNLGRP } from "../../lib/netlink/rtnl/types.ts";
import { createNetns } from "../../lib/sys/netns.ts";

function openFds(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

Deno.test("Changes made by others are told until the monitoring ends, and nothing stays open", async () => {
  const before = openFds();
  {
    using netns = createNetns();
    using c = NetlinkConnection.open({ netns });
    const controller = new AbortController();
    const told: string[] = [];
    const { promise: complete, resolve } = Promise.withResolvers<void>();
    const ended = monitor({
      netns,
      groups: [RTNLGRP.LINK, RTNLGRP.IPV4_RULE],
      signal: controller.signal,
      onLost: () => told.push("lost"),
      onMessage: (message) => {
        const link = readLink(message);
        const rule = readRule(message);
        if (link !== undefined && message.type === RTM.DELLINK) told.push(`-${link.name}`);
        if (rule !== undefined) told.push(`rule ${rule.priority}`);
        if (message.type === RTM.DELRULE) resolve();
      },
    });
    const rule = { family: 4, priority: 12000, table: 200 } as const;
    createLink(c, { name: "br0", kind: { type: "bridge" } });
    addRule(c, rule);
    deleteLink(c, { name: "br0" });
    deleteRule(c, rule);
    await complete;
    controller.abort();
    await ended;
    assert.deepEqual(told, ["rule 12000", "-br0", "rule 12000"]);
  }
  assert.equal(openFds(), before);
});

Deno.test("A monitoring ends at once if its signal was aborted before", async () => {
  await monitor({
    groups: [RTNLGRP.LINK],
    signal: AbortSignal.abort(),
    onLost: () => {},
    onMessage: () => {},
  });
});

Deno.test("An error in what is told ends the monitoring", async () => {
  using netns = createNetns();
  using c = NetlinkConnection.open({ netns });
  const ended = monitor({
    netns,
    groups: [RTNLGRP.LINK],
    signal: new AbortController().signal,
    onLost: () => {},
    onMessage: () => {
      throw new RangeError("enough");
    },
  });
  createLink(c, { name: "br0", kind: { type: "bridge" } });
  await assert.rejects(ended, RangeError);
});
