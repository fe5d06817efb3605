/** SPEC 1.1, section 2, "DEL". */
import assert from "node:assert/strict";
import { assertDone, assertRefused } from "./answers.ts";
import { type ConformanceCase, ifname } from "./conformance_case.ts";
import { configOf } from "./subject.ts";

const del = 'section 2, "DEL"';

/** All cases. */
export const delCases: readonly ConformanceCase[] = [
  {
    id: "del-removes-interface",
    section: del,
    title: "DEL removes the interface and says nothing",
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      assertDone(await bench.call("DEL", container));
      const names = (await container.interfaces()).map(({ name }) => name);
      assert.ok(!names.includes(ifname), `Found ${names}`);
    },
  },
  {
    id: "del-frees-host",
    section: del,
    title: "DEL leaves the host with the links that it had before ADD",
    run: async (bench) => {
      // What the network itself needs, such as a bridge, stays: so the first container does not count.
      const first = await bench.container();
      await bench.add(first);
      const links = async () =>
        (await bench.subject.machine.run(["ip", "-br", "link"])).trim().split("\n")
          .map((line) => line.replace(/[@ ].*/, "")).sort();
      const before = await links();
      const container = await bench.container();
      await bench.add(container);
      await bench.del(container);
      assert.deepEqual(await links(), before);
    },
  },
  {
    id: "del-twice",
    section: del,
    title: "DEL again succeeds",
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      await bench.del(container);
      await bench.del(container);
    },
  },
  {
    id: "del-unknown-container",
    section: del,
    title: "DEL of a container that was never added succeeds",
    run: async (bench) => await bench.del(await bench.container()),
  },
  {
    id: "del-after-failed-add",
    section: del,
    title: "DEL after a failed ADD succeeds and leaves the foreign interface alone",
    run: async (bench) => {
      const container = await bench.container();
      await container.run(["ip", "link", "add", "other0", "type", "bridge"]);
      assertRefused(await bench.call("ADD", container, { stdin: "{" }));
      await bench.del(container);
      const names = (await container.interfaces()).map(({ name }) => name);
      assert.ok(names.includes("other0"), `Found ${names}`);
    },
  },
  {
    id: "del-without-netns",
    section: del,
    title: "DEL without CNI_NETNS succeeds, and the address can be used again",
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      await container.end();
      await bench.del(container, { env: { CNI_NETNS: undefined } });
    },
  },
  {
    id: "del-netns-gone",
    section: del,
    title: "DEL after the namespace is gone succeeds",
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      await container.end();
      await bench.del(container);
    },
  },
  {
    id: "del-interface-gone",
    section: del,
    title: "DEL after the interface is gone succeeds",
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      await container.run(["ip", "link", "delete", ifname]);
      await bench.del(container);
    },
  },
  {
    id: "del-other-interface",
    section: del,
    title: "DEL of one container leaves another's interface alone",
    run: async (bench) => {
      const [one, two] = [await bench.container(), await bench.container()];
      await bench.add(one);
      await bench.add(two);
      const before = await two.interfaces();
      await bench.del(one);
      assert.deepEqual(await two.interfaces(), before);
    },
  },
  {
    id: "del-during-add",
    section: 'section 3, "Lifecycle & Ordering"',
    title: "ADD and DEL of one container at once end, and a DEL after them leaves nothing",
    run: async (bench) => {
      const container = await bench.container();
      await Promise.all([bench.call("ADD", container), bench.call("DEL", container)]);
      await bench.del(container);
      const names = (await container.interfaces()).map(({ name }) => name);
      assert.ok(!names.includes(ifname), `Found ${names}`);
      await bench.add(container, { stdin: configOf(bench.subject, bench.newest) });
    },
  },
];
