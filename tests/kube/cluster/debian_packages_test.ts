import assert from "node:assert/strict";
import { parsePackages, withDependencies } from "./debian_packages.ts";

const installed = parsePackages(
  [
    "base\trequired\tlibc6 (>= 2.36)\tawk, \t",
    "libc6\toptional\t\tlibgcc-s1\tlibc6-2.36",
    "libgcc-s1\toptional\t\tlibc6 (>= 2.35)\t",
    "mawk\trequired\t\t\tawk (= 1.3), other",
    "tool\toptional\t\tlogd | systemd, python3:any, libc6-2.36\t",
    "python3\toptional\t\t\t",
    "logd\toptional\t\t\t",
  ].join("\n"),
);

Deno.test("a package comes with what it depends on, also in a circle and by another name", () => {
  assert.deepEqual([...withDependencies(installed, ["base"])].toSorted(), [
    "base",
    "libc6",
    "libgcc-s1",
    "mawk",
  ]);
  assert.deepEqual([...withDependencies(installed, ["tool"])].toSorted(), [
    "libc6",
    "libgcc-s1",
    "logd",
    "python3",
    "tool",
  ]);
  assert.deepEqual(installed.filter(({ required }) => required).map(({ name }) => name), [
    "base",
    "mawk",
  ]);
});

Deno.test("a package that is not installed is named, with the others that would do", () => {
  assert.throws(() => withDependencies(installed, ["absent"]), /package "absent" to be installed/);
  const broken = parsePackages("broken\toptional\t\tone | two\t");
  assert.throws(() => withDependencies(broken, ["broken"]), /"one" or "two"/);
});
