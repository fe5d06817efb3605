/** SPEC 1.1, section 2, "ADD"; section 5, "ADD Success"; several interfaces and containers. */
import assert from "node:assert/strict";
import { assertRefused, knownVersions, resultOf } from "./answers.ts";
import {
  type ConformanceCase,
  ifname,
  NotApplicable,
  sandboxInterface,
  secondInterface,
} from "./conformance_case.ts";
import { configOf } from "./subject.ts";

const add = 'section 2, "ADD"';
const success = 'section 5, "ADD Success"';

/** All cases. */
export const addCases: readonly ConformanceCase[] = [
  {
    id: "add-makes-interface",
    section: add,
    title: "ADD makes the interface CNI_IFNAME in the container, up, as the result says",
    run: async (bench) => {
      const container = await bench.container();
      const result = await bench.add(container);
      const { mac } = sandboxInterface(result, container);
      const found = (await container.interfaces()).find(({ name }) => name === ifname);
      assert.ok(found, `Expected "${ifname}" in the container`);
      assert.ok(found.up, `Expected "${ifname}" to be up`);
      if (mac !== undefined) assert.equal(found.mac, mac.toLowerCase());
    },
  },
  {
    id: "add-addresses",
    section: success,
    title: 'The addresses of the result are those of the interface, each with its "interface"',
    run: async (bench) => {
      const container = await bench.container();
      const result = await bench.add(container);
      const { index } = sandboxInterface(result, container);
      const found = (await container.interfaces()).find(({ name }) => name === ifname);
      const said = result.ips.filter((ip) => ip.interface === index).map(({ address }) => address);
      assert.ok(said.length > 0, "Expected an address for the container's interface");
      assert.deepEqual([...said].sort(), [...found?.addresses ?? []].sort());
    },
  },
  {
    id: "add-routes",
    section: success,
    title: "The routes of the result are in the container",
    run: async (bench) => {
      const container = await bench.container();
      const result = await bench.add(container);
      const routes = await container.routes();
      for (const { dst, gw } of result.routes) {
        const name = dst === "0.0.0.0/0" || dst === "::/0" ? "default" : dst;
        const gateway = gw ??
          result.ips.find((ip) => ip.gateway?.includes(":") === dst.includes(":"))
            ?.gateway;
        const there = routes.some((route) =>
          route.dst === name && (route.gw === undefined || route.gw === gateway)
        );
        assert.ok(there, `Expected ${dst} via ${gateway}, found ${JSON.stringify(routes)}`);
      }
    },
  },
  ...knownVersions.map((version): ConformanceCase => ({
    id: `add-result-${version}`,
    section: success,
    title: `ADD by a configuration of version ${version} gives a result of that version`,
    run: async (bench) => {
      if (!bench.versions.includes(version)) {
        throw new NotApplicable(`It does not support version ${version}`);
      }
      const container = await bench.container();
      const stdin = configOf(bench.subject, version);
      const result = resultOf(await bench.call("ADD", container, { stdin }), version);
      sandboxInterface(result, container);
      await bench.del(container, { stdin });
    },
  })),
  {
    id: "add-existing-interface",
    section: add,
    title: "ADD fails when the container has such an interface, and leaves it alone",
    run: async (bench) => {
      const container = await bench.container();
      await container.run(["ip", "link", "add", ifname, "type", "bridge"]);
      await container.run(["ip", "address", "add", "192.0.2.1/32", "dev", ifname]);
      const before = await container.interfaces();
      assertRefused(await bench.call("ADD", container));
      assert.deepEqual(await container.interfaces(), before);
    },
  },
  {
    id: "add-twice",
    section: add,
    title: "A second ADD of the same container and interface fails and changes nothing",
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      const before = await container.interfaces();
      const routes = await container.routes();
      assertRefused(await bench.call("ADD", container));
      assert.deepEqual(await container.interfaces(), before);
      assert.deepEqual(await container.routes(), routes);
    },
  },
  {
    id: "add-second-interface",
    section: 'section 2, "Overview"',
    title: "A container may have several interfaces, each added and deleted by itself",
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      const second = secondInterface(bench);
      sandboxInterface(await bench.add(container, second), container, second.ifname);
      await bench.del(container, second);
      const names = (await container.interfaces()).map(({ name }) => name);
      assert.ok(names.includes(ifname) && !names.includes("net1"), `Found ${names}`);
    },
  },
  {
    id: "add-after-failure",
    section: 'section 3, "Lifecycle & Ordering"',
    title: "After a failed ADD and a DEL the same container can be added",
    run: async (bench) => {
      const container = await bench.container();
      await container.run(["ip", "link", "add", ifname, "type", "bridge"]);
      assertRefused(await bench.call("ADD", container));
      await container.run(["ip", "link", "delete", ifname]);
      await bench.del(container);
      sandboxInterface(await bench.add(container), container);
    },
  },
  {
    id: "add-concurrently",
    section: 'section 3, "Lifecycle & Ordering"',
    title: "ADDs for different containers may run at once, each with an address of its own",
    run: async (bench) => {
      const containers = await Promise.all(Array.from({ length: 8 }, () => bench.container()));
      const results = await Promise.all(containers.map((container) => bench.add(container)));
      const addresses = results.flatMap(({ ips }) => ips.map(({ address }) => address));
      assert.equal(new Set(addresses).size, addresses.length, `Found ${addresses}`);
      await Promise.all(containers.map((container) => bench.del(container)));
    },
  },
];
