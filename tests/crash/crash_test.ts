/** The daemon killed with SIGKILL after each of its effects, in ADD and in DEL: started again, it leaves nothing and loses nothing. */
import assert from "node:assert/strict";
import { until } from "../lab/process.ts";
import { untilEqual } from "../lab/until_equal.ts";
import { type Answer, CrashNode } from "./crash_node.ts";
import { addPoints, claimPoints, delPoints } from "./points.ts";

let crash: CrashNode;
/** The node without pods. */
let clean: { readonly kernel: string; readonly netns: string };
let number = 0;

/** A test on the lab. What it starts in the lab outlives it, so resources are not counted. */
function labTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, sanitizeOps: false, sanitizeResources: false });
}

Deno.test.beforeAll(async () => {
  crash = await CrashNode.start("crash");
  await crash.startDaemon();
  await inContainer(async (id) => {
    await until("a first pod", 60, async () => await started(id) || undefined);
    // A pod makes its node hold a block of the service VRF, which comes a moment later and stays.
    await until("the block of the service VRF", 60, () => crash.holdsServiceBlock());
    await ended(id);
  });
  // The daemon opens namespaces for a moment, too, and nothing of a run under way may be taken for what stays.
  clean = await until("the node to be still", 60, async () => {
    const [before, after] = [await look(), await look()];
    return before.netns !== "" && JSON.stringify(before) === JSON.stringify(after)
      ? after
      : undefined;
  });
});

Deno.test.afterAll(async () => {
  await crash?.[Symbol.asyncDispose]();
});

/** Codes of the specification (SPEC, section "Error"): an invalid environment, here of an attachment that stands; and what passes. */
const standsAlready = 4;
const tryAgainLater = 11;

async function look(): Promise<typeof clean> {
  return { kernel: await crash.kernel(), netns: await crash.openNetns() };
}

/** Runs something with a container of its own, which is ended afterwards. */
async function inContainer(task: (id: string) => Promise<void>): Promise<void> {
  const id = `container-${++number}`;
  await crash.makeContainer(id);
  await task(id);
  await crash.endContainer(id);
}

async function started(id: string): Promise<boolean> {
  return (await crash.call("ADD", id)).code === 0;
}

async function ended(id: string): Promise<void> {
  const answer = await crash.call("DEL", id);
  assert.equal(answer.code, 0, answer.stdout);
}

/** Addresses in the plugin's answer, without their lengths. */
function addressesOf({ code, stdout }: Answer): string[] {
  assert.equal(code, 0, stdout);
  return JSON.parse(stdout).ips.map(({ address }: { address: string }) => address.split("/")[0]);
}

/**
 * What a runtime does after a failed ADD: it tries again, with a DEL before where the attachment stands, and later where it is told so. Before its
 * first lists a daemon that has just started takes no pods.
 */
function addAgain(id: string, namespace?: string): Promise<Answer> {
  return until("an ADD", 60, async () => {
    const answer = await crash.call("ADD", id, namespace);
    if (answer.code === 0) return answer;
    const { code } = JSON.parse(answer.stdout);
    if (![standsAlready, tryAgainLater].includes(code)) return answer;
    if (code === standsAlready) await ended(id);
    return undefined;
  });
}

/** The command fails, since the daemon dies in it. */
async function dies(command: string, id: string, point: string, namespace?: string): Promise<void> {
  const [effect = "", nth = "1"] = point.split(" #");
  await crash.dieAfter(effect, Number(nth));
  const { code, stdout } = await crash.call(command, id, namespace);
  assert.notEqual(code, 0, `${command} succeeded, though the daemon should have died: ${stdout}`);
  assert.equal(JSON.parse(stdout).code, 11, stdout);
  await crash.daemonEnded();
}

/** Nothing more and nothing less than before: a daemon that has just started opens its VRFs' namespaces by and by. */
async function assertClean(): Promise<void> {
  await untilEqual("the kernel", clean.kernel, () => crash.kernel(), 20);
  await untilEqual("descriptors of network namespaces", clean.netns, () => crash.openNetns(), 20);
}

/** The effects of a command, those that repeat with a number. */
function numbered(effects: readonly string[]): string[] {
  const seen = new Map<string, number>();
  return effects.map((effect) => {
    const nth = (seen.get(effect) ?? 0) + 1;
    seen.set(effect, nth);
    return nth === 1 ? effect : `${effect} #${nth}`;
  });
}

labTest("The points at which the daemon is killed are all that ADD and DEL do", async () => {
  await crash.effects();
  await inContainer(async (id) => {
    await started(id);
    assert.deepEqual(numbered(await crash.effects()), addPoints);
    await ended(id);
    assert.deepEqual(numbered(await crash.effects()), delPoints);
  });
  await assertClean();
});

for (const point of addPoints) {
  labTest(
    `ADD, killed after "${point}": the retry gets the same addresses, and nothing is left`,
    async () => {
      await inContainer(async (id) => {
        await dies("ADD", id, point);
        const rows = await crash.rows();
        assert.ok(rows.every(({ container }) => container === id), "rows of earlier containers");
        await crash.startDaemon();
        const addresses = addressesOf(await addAgain(id));
        const [row] = rows;
        if (row !== undefined) assert.deepEqual(addresses, row.addresses);
        await ended(id);
        await assertClean();
      });
    },
  );
}

for (const point of delPoints) {
  labTest(`DEL, killed after "${point}": it finishes afterwards, and nothing is left`, async () => {
    await inContainer(async (id) => {
      addressesOf(await crash.call("ADD", id));
      await dies("DEL", id, point);
      assert.ok((await crash.rows()).every((row) => row.container === id));
      await crash.startDaemon();
      await ended(id);
      await assertClean();
    });
  });
}

for (const damage of ["torn", "deleted"]) {
  labTest(
    `A journal that is ${damage} while the daemon is away is made anew from kernel and API`,
    async () => {
      await inContainer(async (first) => {
        await inContainer(async (second) => {
          const addresses = addressesOf(await crash.call("ADD", first));
          await crash.killDaemon();
          await crash.damageJournal(damage === "torn");
          await crash.startDaemon();
          const others = addressesOf(await addAgain(second));
          assert.ok(!others.some((address) => addresses.includes(address)), "given once");
          assert.equal(JSON.parse((await crash.call("ADD", first)).stdout).code, 4, "it is known");
          await crash.killDaemon();
          assert.deepEqual(
            (await crash.rows()).map((row) => [row.container, row.state, row.addresses]).sort(),
            [[first, "attached", addresses], [second, "attached", others]].sort(),
          );
          await crash.startDaemon();
          await ended(first);
          await ended(second);
        });
      });
      await assertClean();
    },
  );
}

labTest("A journal that is deleted while the daemon runs is written anew", async () => {
  await inContainer(async (first) => {
    const addresses = addressesOf(await crash.call("ADD", first));
    await crash.damageJournal(false);
    await inContainer(async (second) => {
      addressesOf(await crash.call("ADD", second));
      await crash.killDaemon();
      const rows = await crash.rows();
      assert.deepEqual(rows.map(({ container }) => container).sort(), [first, second].sort());
      assert.deepEqual(rows.find(({ container }) => container === first)?.addresses, addresses);
      await crash.startDaemon();
      await ended(second);
    });
    await ended(first);
  });
  assert.match(await crash.log(), /"The journal was deleted and is written anew/);
  await assertClean();
});

labTest(
  "A full /run refuses commands with the reason, and costs nothing once there is room",
  async () => {
    await inContainer(async (first) => {
      await inContainer(async (second) => {
        addressesOf(await crash.call("ADD", first));
        await crash.fillRun();
        for (const [command, id, code] of [["ADD", second, 102], ["DEL", first, 104]] as const) {
          const { stdout } = await crash.call(command, id);
          assert.equal(JSON.parse(stdout).code, code, stdout);
          assert.match(JSON.parse(stdout).msg, /journal.*disk is full/);
        }
        await crash.clearRun();
        addressesOf(await crash.call("ADD", second));
        await ended(second);
        await ended(first);
      });
    });
    await assertClean();
  },
);

labTest("A daemon that runs out of descriptors in ADD says so, and loses nothing", async () => {
  await inContainer(async (id) => {
    // Numbers that are free below the highest one count too: only a limit of one leaves none for sure.
    for (let spare = -1;; spare++) {
      await crash.limitDescriptors(spare < 0 ? "none" : spare);
      const { code, stdout } = await crash.call("ADD", id);
      await crash.limitDescriptors("usual");
      await until("the daemon to serve again", 60, () => ended(id).then(() => true));
      if (code === 0) break;
      assert.ok([11, 102, 105].includes(JSON.parse(stdout).code), stdout);
      assert.ok(spare < 30, "it needs only some");
    }
    assert.match(await crash.log(), /"Socket is opened anew"/);
    addressesOf(await crash.call("ADD", id));
    await ended(id);
  });
  await assertClean();
});

labTest("In the end the API knows no address as given", async () => {
  await until("the status of the blocks", 30, async () => {
    const given = await crash.allocated();
    if (given.length > 0) throw new Error(`Found "${given.join(", ")}"`);
    return true;
  });
});

for (const [index, point] of claimPoints.entries()) {
  labTest(`ADD, killed after "${point}": the block is used, and no other is claimed`, async () => {
    const vrf = 700 + index;
    await crash.addDomain(vrf);
    await inContainer(async (id) => {
      await dies("ADD", id, point, `claims-${vrf}`);
      assert.deepEqual(await crash.rows(), []);
      await crash.startDaemon();
      addressesOf(await addAgain(id, `claims-${vrf}`));
      assert.equal((await crash.blocks(vrf)).length, 1);
      await ended(id);
    });
  });
}
