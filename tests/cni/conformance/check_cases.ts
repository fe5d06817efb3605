/** SPEC 1.1, section 2, "CHECK". */
import assert from "node:assert/strict";
import { assertDone, assertRefused, type Result } from "./answers.ts";
import { type Bench, type ConformanceCase, ifname, NotApplicable } from "./conformance_case.ts";
import type { Container } from "./container.ts";
import { configOf, type Outcome } from "./subject.ts";

const check = 'section 2, "CHECK"';
const since = "0.4.0";

async function checked(bench: Bench, container: Container, prevResult: unknown): Promise<Outcome> {
  const stdin = configOf(bench.subject, bench.newest, { prevResult });
  return await bench.call("CHECK", container, { stdin });
}

/** A case in which something is changed after ADD. */
function afterwards(
  id: string,
  title: string,
  change: (container: Container, result: Result) => Promise<unknown>,
  holds = false,
): ConformanceCase {
  return {
    id,
    section: check,
    title,
    since,
    run: async (bench) => {
      const container = await bench.container();
      const result = await bench.add(container);
      await change(container, result);
      const outcome = await checked(bench, container, result);
      if (holds) assertDone(outcome);
      else assertRefused(outcome);
    },
  };
}

function firstAddress(result: Result): string {
  const [ip] = result.ips;
  assert.ok(ip !== undefined, "Expected an address in the result");
  return ip.address;
}

/** The first route by a gateway; plugins that give none have nothing to compare. */
function gatewayRoute(result: Result): { readonly dst: string; readonly family: string } {
  const route = result.routes.find(({ gw, dst }) =>
    (gw ??
      result.ips.find(({ gateway }) => gateway?.includes(":") === dst.includes(":"))?.gateway) !==
      undefined
  );
  if (route === undefined) throw new NotApplicable("Its result has no route by a gateway");
  return { dst: route.dst, family: route.dst.includes(":") ? "-6" : "-4" };
}

/** All cases. */
export const checkCases: readonly ConformanceCase[] = [
  afterwards(
    "check-as-added",
    "CHECK with the result of ADD succeeds while nothing has changed, and says nothing",
    () => Promise.resolve(),
    true,
  ),
  afterwards(
    "check-interface-missing",
    "CHECK fails when the interface is missing",
    (container) => container.run(["ip", "link", "delete", ifname]),
  ),
  afterwards(
    "check-address-missing",
    "CHECK fails when an address is missing",
    (container, result) =>
      container.run(["ip", "address", "delete", firstAddress(result), "dev", ifname]),
  ),
  afterwards(
    "check-route-missing",
    "CHECK fails when a route is missing",
    (container, result) => {
      const { dst, family } = gatewayRoute(result);
      return container.run(["ip", family, "route", "delete", dst]);
    },
  ),
  afterwards(
    "check-gateway-changed",
    "CHECK fails when a route has another gateway",
    async (container, result) => {
      const { dst, family } = gatewayRoute(result);
      await container.run(["ip", family, "route", "delete", dst]);
      const other = family === "-4" ? "192.0.2.77" : "2001:db8::77";
      await container.run(["ip", family, "route", "add", other, "dev", ifname]);
      await container.run(["ip", family, "route", "add", dst, "via", other, "dev", ifname]);
    },
  ),
  afterwards(
    "check-tolerates-additions",
    "CHECK tolerates what chained plugins add: addresses, routes, links, sysctls",
    async (container) => {
      await container.run(["ip", "address", "add", "192.0.2.9/32", "dev", ifname]);
      await container.run(["ip", "link", "add", "extra0", "type", "bridge"]);
      await container.run(["ip", "link", "set", "extra0", "up"]);
      await container.run(["ip", "route", "add", "198.51.100.0/24", "dev", ifname]);
      await container.run(["sysctl", "-qw", "net.ipv4.conf.eth0.arp_filter=1"]);
    },
    true,
  ),
  {
    id: "check-without-result",
    section: check,
    title: "CHECK without prevResult is refused",
    since,
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      assertRefused(await bench.call("CHECK", container));
    },
  },
  {
    id: "check-unknown-container",
    section: check,
    title: "CHECK of a container that was never added fails",
    since,
    run: async (bench) => {
      const [added, other] = [await bench.container(), await bench.container()];
      assertRefused(await checked(bench, other, await bench.add(added)));
    },
  },
  {
    id: "check-after-del",
    section: check,
    title: "CHECK after DEL fails",
    since,
    run: async (bench) => {
      const container = await bench.container();
      const result = await bench.add(container);
      await bench.del(container);
      assertRefused(await checked(bench, container, result));
    },
  },
  {
    id: "check-old-version",
    section: check,
    title: "CHECK by a configuration older than 0.4.0 is refused",
    run: async (bench) => {
      const old = bench.versions.find((version) => version < "0.4.0");
      if (old === undefined) throw new NotApplicable("It supports no version before 0.4.0");
      const container = await bench.container();
      const stdin = configOf(bench.subject, old);
      await bench.add(container, { stdin });
      assertRefused(await bench.call("CHECK", container, { stdin }));
    },
  },
  {
    id: "check-changes-nothing",
    section: check,
    title: "CHECK changes nothing, also when it fails",
    since,
    run: async (bench) => {
      const container = await bench.container();
      const result = await bench.add(container);
      await container.run(["ip", "address", "delete", firstAddress(result), "dev", ifname]);
      const before = [await container.interfaces(), await container.routes()];
      await checked(bench, container, result);
      assert.deepEqual([await container.interfaces(), await container.routes()], before);
    },
  },
];
