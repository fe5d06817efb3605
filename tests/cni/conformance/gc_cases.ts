/** SPEC 1.1, section 2, "GC", "STATUS" and "VERSION". */
import assert from "node:assert/strict";
import { assertDone, assertRefused, versionsOf } from "./answers.ts";
import {
  type Bench,
  type ConformanceCase,
  ifname,
  NotApplicable,
  secondInterface,
} from "./conformance_case.ts";
import type { Container } from "./container.ts";
import { configOf, invoke, type Outcome } from "./subject.ts";

const gc = 'section 2, "GC"';
const status = 'section 2, "STATUS"';
const since = "1.1.0";

async function collect(
  bench: Bench,
  valid: readonly Container[] | undefined,
  fields: Readonly<Record<string, unknown>> = {},
): Promise<Outcome> {
  const attachments = valid?.map(({ id }) => ({ containerID: id, ifname }));
  return await invoke(bench.subject, {
    command: "GC",
    stdin: configOf(bench.subject, bench.newest, {
      ...attachments === undefined ? {} : { "cni.dev/valid-attachments": attachments },
      ...fields,
    }),
  });
}

async function stands(container: Container, name = ifname): Promise<boolean> {
  return (await container.interfaces()).some((link) => link.name === name);
}

function askStatus(bench: Bench): Promise<Outcome> {
  return invoke(bench.subject, {
    command: "STATUS",
    stdin: configOf(bench.subject, bench.newest),
  });
}

function outage(name: string, title: string): ConformanceCase {
  return {
    id: `status-${name}`,
    section: status,
    title,
    since,
    run: async (bench) => {
      const make = bench.subject.outages[name];
      if (make === undefined) throw new NotApplicable("It has no such condition");
      {
        await using _outage = await make();
        assertRefused(await askStatus(bench), { code: [11, 50, 51], says: /\w/ });
      }
      assertDone(await askStatus(bench));
    },
  };
}

/** All cases. */
export const gcCases: readonly ConformanceCase[] = [
  {
    id: "gc-removes-unlisted",
    section: gc,
    title: "GC removes what cni.dev/valid-attachments does not list, and nothing that it does",
    since,
    run: async (bench) => {
      const [kept, stale] = [await bench.container(), await bench.container()];
      await bench.add(kept);
      await bench.add(stale);
      const before = await kept.interfaces();
      assertDone(await collect(bench, [kept]));
      assert.deepEqual(await kept.interfaces(), before);
      assert.equal(await stands(stale), false, "Expected the stale attachment to be gone");
    },
  },
  {
    id: "gc-by-interface",
    section: gc,
    title: "GC tells the interfaces of a container apart",
    since,
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      const second = secondInterface(bench);
      await bench.add(container, second);
      assertDone(await collect(bench, [container]));
      assert.equal(await stands(container), true);
      assert.equal(await stands(container, second.ifname), false);
    },
  },
  {
    id: "gc-other-network",
    section: gc,
    title: "GC leaves the attachments of other networks alone",
    since,
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      assertDone(await collect(bench, [], { name: "another-network" }));
      assert.equal(await stands(container), true);
    },
  },
  {
    id: "gc-frees-addresses",
    section: gc,
    title: "GC cleans up after containers whose namespaces are gone, and again without complaint",
    since,
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      await container.end();
      assertDone(await collect(bench, []));
      assertDone(await collect(bench, []));
    },
  },
  {
    id: "gc-without-list",
    section: gc,
    title: "GC without cni.dev/valid-attachments removes nothing",
    since,
    run: async (bench) => {
      const container = await bench.container();
      await bench.add(container);
      await collect(bench, undefined);
      assert.equal(await stands(container), true);
    },
  },
  {
    id: "gc-old-version",
    section: gc,
    title: "GC by a configuration older than 1.1.0 is refused",
    run: async (bench) => {
      const old = bench.versions.findLast((version) => version < "1.1.0");
      if (old === undefined) throw new NotApplicable("It supports no version before 1.1.0");
      const stdin = configOf(bench.subject, old, { "cni.dev/valid-attachments": [] });
      assertRefused(await invoke(bench.subject, { command: "GC", stdin }));
    },
  },
  {
    id: "status-ready",
    section: status,
    title: "STATUS succeeds and says nothing when ADD succeeds",
    since,
    run: async (bench) => {
      assertDone(await askStatus(bench));
      await bench.add(await bench.container());
    },
  },
  outage("daemon-away", "STATUS fails while the daemon is away, and says why"),
  outage("not-ready", "STATUS fails with 50 or 51 while the node is not ready, and says why"),
  outage("addresses-exhausted", "STATUS fails while no address is left, and says why"),
  {
    id: "version-alone",
    section: 'section 2, "VERSION"',
    title: "VERSION needs no other variable and gives the supported versions in the version asked",
    run: async (bench) => {
      for (const version of bench.versions) {
        const outcome = await invoke(bench.subject, {
          command: "VERSION",
          env: { CNI_PATH: undefined, CNI_ARGS: undefined },
          stdin: { cniVersion: version },
        });
        const answer = versionsOf(outcome);
        assert.equal(answer.cniVersion, version);
        assert.ok(answer.supportedVersions.includes(version));
      }
    },
  },
];
