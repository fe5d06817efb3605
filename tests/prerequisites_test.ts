import assert from "node:assert/strict";
import {
  containerdNeeds,
  ensurePrerequisites,
  kubectlNeeds,
  labNeeds,
  missingNeeds,
  type Need,
  PrerequisitesMissingError,
  recordingNeeds,
  vmNeeds,
} from "./prerequisites.ts";
import { withoutServiceStarts } from "./service_starts.ts";

const absentFile: Need = { lookFor: ["/nonexistent/pr2t-file"], packages: ["pr2t-file-package"] };
const absentTool: Need = { lookFor: ["pr2t-no-such-tool"], packages: ["pr2t-tool-package"] };
const shell: Need = { lookFor: ["sh"], packages: ["dash"] };

async function scratchDirectory(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "pr2t-" });
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

Deno.test("One error lists everything that is missing, with the packages, when installing is forbidden", async () => {
  await assert.rejects(
    ensurePrerequisites([absentFile, shell, absentTool], { install: false }),
    (error: unknown) => {
      assert.ok(error instanceof PrerequisitesMissingError);
      assert.equal(error.code, "PrerequisitesMissing");
      assert.deepEqual(error.missing, [absentFile, absentTool]);
      assert.match(error.message, /"\/nonexistent\/pr2t-file" \(package pr2t-file-package\)/);
      assert.match(error.message, /apt-get install pr2t-file-package pr2t-tool-package/);
      return true;
    },
  );
});

Deno.test("A directory of the wanted name does not satisfy a need", async () => {
  const need: Need = { lookFor: ["/usr/lib"], packages: ["pr2t"] };
  assert.deepEqual(await missingNeeds([need]), [need]);
});

Deno.test("Any one of several places satisfies a need", async () => {
  const need: Need = { lookFor: ["/nonexistent/sh", "sh"], packages: ["dash"] };
  assert.deepEqual(await missingNeeds([need]), []);
});

Deno.test("Nothing is said or run when nothing is missing", async () => {
  const lines: string[] = [];
  const aborted = AbortSignal.abort();
  await ensurePrerequisites([shell], {
    install: true,
    signal: aborted,
    report: (line) => lines.push(line),
  });
  assert.deepEqual(lines, []);
});

Deno.test("The named sets name a package for everything they look for", () => {
  for (const need of [labNeeds, vmNeeds, containerdNeeds, kubectlNeeds, recordingNeeds].flat()) {
    for (const name of need.packages) assert.match(name, /^[a-z0-9][a-z0-9+.-]+$/);
  }
});

Deno.test("Service starts are denied during an installation only", async () => {
  await using scratch = await scratchDirectory();
  const policy = `${scratch.path}/policy-rc.d`;
  await withoutServiceStarts(policy, async () => {
    assert.equal((await new Deno.Command(policy).output()).code, 101);
  });
  await assert.rejects(Deno.stat(policy), Deno.errors.NotFound);
});

Deno.test("An existing service policy comes back, even after a failed installation", async () => {
  await using scratch = await scratchDirectory();
  const policy = `${scratch.path}/policy-rc.d`;
  await Deno.writeTextFile(policy, "#!/bin/sh\nexit 0\n", { mode: 0o755 });
  await assert.rejects(
    withoutServiceStarts(policy, () => Promise.reject(new Error("broken package"))),
    /broken package/,
  );
  assert.equal(await Deno.readTextFile(policy), "#!/bin/sh\nexit 0\n");
});

Deno.test("A service policy that a killed run left behind is put right", async () => {
  await using scratch = await scratchDirectory();
  const policy = `${scratch.path}/policy-rc.d`;
  const original = "#!/bin/sh\nexit 104\n";
  await Deno.writeTextFile(`${policy}.before-prerequisites`, original, { mode: 0o755 });
  await Deno.writeTextFile(policy, "anything", { mode: 0o755 });
  await withoutServiceStarts(policy, async () => {});
  assert.equal(await Deno.readTextFile(policy), original);
});
