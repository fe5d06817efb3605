/** SPEC 1.1, section 3: lists of plugins, with Debian's plugins behind the subject and in front of it. */
import assert from "node:assert/strict";
import { assertDone, type Result, resultOf } from "./answers.ts";
import { type Bench, type ConformanceCase, ifname, NotApplicable } from "./conformance_case.ts";
import type { Container } from "./container.ts";
import type { Outcome } from "./subject.ts";

const section = 'section 3, "Adding an attachment"';

/** Debian's plugins know versions up to this one. */
const chainVersion = "1.0.0";

/** A plugin of a list. */
interface Link {
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

async function find(bench: Bench, type: string): Promise<string> {
  for (const folder of bench.subject.path) {
    const path = `${folder}/${type}`;
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) return path;
  }
  throw new NotApplicable(`There is no plugin "${type}" in CNI_PATH`);
}

async function callNext(
  bench: Bench,
  command: string,
  container: Container,
  { type, fields }: Link,
  prevResult: unknown,
): Promise<Outcome> {
  const { name } = bench.subject.config;
  const stdin = { cniVersion: chainVersion, name, type, ...fields, prevResult };
  return await bench.call(command, container, { stdin, plugin: await find(bench, type) });
}

async function callSubject(
  bench: Bench,
  command: string,
  container: Container,
  prevResult?: unknown,
): Promise<Outcome> {
  const stdin = {
    cniVersion: chainVersion,
    ...bench.subject.config,
    ...prevResult === undefined ? {} : { prevResult },
  };
  return await bench.call(command, container, { stdin });
}

/** ADD, CHECK and DEL of a list: the subject, then one of Debian's plugins. */
function behind(link: Link, what: string): ConformanceCase {
  return {
    id: `chain-${link.type}`,
    section,
    title: `${what} works behind it, and CHECK tolerates what it has added`,
    since: chainVersion,
    run: async (bench) => {
      if (!bench.versions.includes(chainVersion)) {
        throw new NotApplicable(`It does not support ${chainVersion}`);
      }
      const container = await bench.container();
      const first = resultOf(await callSubject(bench, "ADD", container), chainVersion);
      const last = resultOf(await callNext(bench, "ADD", container, link, first), chainVersion);
      assertKept(last, first);
      assertDone(await callSubject(bench, "CHECK", container, last));
      await callNext(bench, "DEL", container, link, last);
      assertDone(await callSubject(bench, "DEL", container, last));
      const names = (await container.interfaces()).map(({ name }) => name);
      assert.ok(!names.includes(ifname), `Found ${names}`);
    },
  };
}

function assertKept(result: Result, before: Result): void {
  assert.deepEqual(result.ips, before.ips);
  assert.deepEqual(result.interfaces.slice(0, before.interfaces.length), before.interfaces);
}

/** What an earlier plugin of a list may have made, a second network for instance. */
const earlier = {
  cniVersion: chainVersion,
  interfaces: [{ name: "first0", mac: "02:00:00:00:00:01", sandbox: "/run/somewhere" }],
  ips: [{ address: "198.51.100.7/24", gateway: "198.51.100.1", interface: 0 }],
  routes: [{ dst: "203.0.113.0/24", gw: "198.51.100.1" }],
  dns: { nameservers: ["198.51.100.53"] },
};

/** All cases. */
export const chainCases: readonly ConformanceCase[] = [
  behind(
    {
      type: "portmap",
      fields: {
        capabilities: { portMappings: true },
        snat: true,
        runtimeConfig: {
          portMappings: [{ hostPort: 18080, containerPort: 80, protocol: "tcp" }],
        },
      },
    },
    "portmap",
  ),
  behind(
    { type: "tuning", fields: { sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" }, mtu: 1280 } },
    "tuning",
  ),
  behind(
    {
      type: "bandwidth",
      fields: { ingressRate: 8_000_000, ingressBurst: 800_000, egressRate: 0, egressBurst: 0 },
    },
    "bandwidth",
  ),
  {
    id: "chain-prev-result",
    section,
    title: "Behind another plugin it keeps what prevResult has, and adds its own",
    since: chainVersion,
    run: async (bench) => {
      if (!bench.versions.includes(chainVersion)) {
        throw new NotApplicable(`It does not support ${chainVersion}`);
      }
      const container = await bench.container();
      const result = resultOf(await callSubject(bench, "ADD", container, earlier), chainVersion);
      assert.deepEqual(
        result.interfaces.find(({ name }) => name === "first0"),
        earlier.interfaces[0],
      );
      const mine = result.ips.filter(({ address }) => address !== "198.51.100.7/24");
      assert.equal(result.ips.length - mine.length, 1, "Expected the earlier address to be kept");
      assert.ok(mine.length > 0, "Expected an address of its own");
      assert.deepEqual(
        result.routes.find(({ dst }) => dst === "203.0.113.0/24"),
        earlier.routes[0],
      );
      assert.deepEqual(result.dns?.["nameservers"], earlier.dns.nameservers);
    },
  },
];
