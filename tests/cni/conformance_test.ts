/** The conformance suite against this project's plugin, and against one of Debian's, which shows that its cases can fail. */
import assert from "node:assert/strict";
import { build } from "../lab/options.ts";
import {
  debianPlugins,
  peers,
  readConf,
  startForeignSubject,
  startOwnSubject,
} from "./conformance/subjects.ts";
import { conformanceCases, runSuite, type Verdict } from "./conformance/suite.ts";

function idsOf(verdicts: readonly Verdict[], result: Verdict["result"]): readonly string[] {
  return verdicts.filter((verdict) => verdict.result === result).map(({ id }) => id);
}

function told(verdicts: readonly Verdict[]): string {
  return verdicts.filter(({ result }) => result === "failed").map(({ id, reason }) =>
    `${id}: ${reason}`
  ).join("\n");
}

Deno.test({
  name: "The built plugin meets the specification, with daemon and FRR on a node",
  // What the lab starts outlives single tests of a file, and is ended with its machines.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const { signal } = new AbortController();
    await using own = await startOwnSubject({
      dist: await build(signal),
      signal,
      progress: () => {},
    });
    const verdicts = await runSuite(own.subject, { signal });
    // "bandwidth" looks for the veth's host end in the host's namespace; with the netns backend it is in the VRF's.
    assert.deepEqual(idsOf(verdicts, "failed"), ["chain-bandwidth"], told(verdicts));
    assert.deepEqual(idsOf(verdicts, "skipped"), ["add-result-0.3.0"]);
  },
});

Deno.test("Debian's bridge passes where it conforms, and its misses are found", async () => {
  await using peer = await startForeignSubject({
    name: "bridge",
    plugin: `${debianPlugins}/bridge`,
    config: peers["bridge"] ?? {},
  });
  const verdicts = await runSuite(peer.subject);
  const failed = idsOf(verdicts, "failed");
  for (const id of ["error-version", "env-own-netns", "check-gateway-changed", "version-alone"]) {
    assert.ok(failed.includes(id), `Expected "${id}" to fail:\n${told(verdicts)}`);
  }
  const passed = idsOf(verdicts, "passed");
  for (const id of ["add-makes-interface", "del-twice", "check-as-added", "chain-bandwidth"]) {
    assert.ok(passed.includes(id), `Expected "${id}" to pass:\n${told(verdicts)}`);
  }
  assert.ok(idsOf(verdicts, "skipped").includes("gc-removes-unlisted"));
});

Deno.test("Every case has a name of its own", () => {
  const ids = conformanceCases.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
});

Deno.test("A configuration is read alone or as the first of a list, and nonsense is refused", () => {
  const alone = { cniVersion: "1.0.0", name: "n", type: "bridge", mtu: 1400 };
  assert.deepEqual(readConf(JSON.stringify(alone), "f"), { name: "n", type: "bridge", mtu: 1400 });
  const list = { cniVersion: "1.0.0", name: "n", plugins: [{ type: "ptp" }, { type: "portmap" }] };
  assert.deepEqual(readConf(JSON.stringify(list), "f"), { name: "n", type: "ptp" });
  assert.throws(() => readConf("{", "f"), /JSON in "f"/);
  assert.throws(() => readConf('{"plugins":[]}', "f"), /network configuration in "f"/);
});
