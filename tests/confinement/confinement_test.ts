/** What the seccomp profiles let through, and what not. That the programs work under them is the lab's to show. */
import assert from "node:assert/strict";
import { seccompProfiles } from "../../manifests/seccomp.ts";
import { repository } from "../lab/options.ts";
import { execute } from "../lab/process.ts";
import { unknownNames } from "./seccomp_library.ts";

const script = (name: string) => `${repository}/tests/confinement/${name}`;
const run = [Deno.execPath(), "run", "-A", "--no-check", "--quiet"];

/** What becomes of calls that nothing here needs, for a program that is started behind these words. */
async function outcomes(...before: readonly string[]): Promise<Record<string, string>> {
  return JSON.parse(await execute([...before, ...run, script("refused_calls.ts")]));
}

Deno.test("Calls that no part needs fail with EPERM under each profile, for root with all capabilities", async () => {
  const without = await outcomes();
  const refused = Object.keys(without).filter((name) => without[name] !== "EPERM");
  assert.ok(refused.includes("unshare") && refused.includes("setns"), JSON.stringify(without));
  for (const profile of seccompProfiles().keys()) {
    const under = await outcomes(...run, script("enter_profile.ts"), profile);
    assert.deepEqual(Object.keys(under), Object.keys(without), profile);
    for (const [name, error] of Object.entries(under)) {
      assert.equal(error, "EPERM", `${name} under ${profile}`);
    }
  }
});

Deno.test("A profile names no call twice without a condition, none that libseccomp passes over, and no module, tracing or boot", () => {
  const forbidden =
    /^(ptrace|process_vm_|.*_module$|kexec_|bpf$|perf_|reboot$|keyctl$|.*_key$|io_uring_|swap|personality$|chroot$|pivot_root$|io(pl|perm)$|quotactl|acct$|.*settime|adjtimex|mknod|userfaultfd|open_by_handle_at|seccomp$|init_module)/;
  for (const [file, profile] of seccompProfiles()) {
    assert.deepEqual(unknownNames(profile), [], file);
    const always = profile.syscalls.filter(({ args }) => args === undefined)
      .flatMap(({ names }) => names);
    assert.equal(new Set(always).size, always.length, file);
    const all = profile.syscalls.flatMap(({ names }) => names);
    assert.deepEqual(all.filter((name) => forbidden.test(name)), [], file);
    for (const name of ["socket", "clone", "setns"]) {
      assert.ok(all.includes(name) && !always.includes(name), `${name} in ${file}`);
    }
  }
});
