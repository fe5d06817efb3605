import assert from "node:assert/strict";
import fc from "fast-check";
import { parseCniArgs, readCniEnv } from "./args.ts";
import { CniError } from "./errors.ts";

const add = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c0ffee",
  CNI_NETNS: "/run/netns/x",
  CNI_IFNAME: "eth0",
};

function refused(env: Record<string, string>): CniError {
  try {
    parseCniArgs(env);
  } catch (thrown) {
    if (thrown instanceof CniError) return thrown;
    throw thrown;
  }
  throw new assert.AssertionError({ message: `Expected a CniError for ${JSON.stringify(env)}` });
}

Deno.test("An unknown or missing command is refused", () => {
  for (const env of [{}, { CNI_COMMAND: "" }, { CNI_COMMAND: "add" }, { CNI_COMMAND: "X" }]) {
    assert.equal(refused(env).cniCode, 4);
    assert.match(refused(env).message, /CNI_COMMAND/);
  }
});

Deno.test("The message names every missing variable", () => {
  const error = refused({ CNI_COMMAND: "ADD", CNI_NETNS: "" });
  assert.equal(error.cniCode, 4);
  for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]) {
    assert.ok(error.message.includes(`"${name}"`), error.message);
  }
});

Deno.test("A container id outside the specification's pattern is refused", () => {
  for (const id of ["-x", ".x", "_x", "a b", "a/b", "ä", "a\n", "x".repeat(256)]) {
    const error = refused({ ...add, CNI_CONTAINERID: id });
    assert.equal(error.cniCode, 4);
    assert.match(error.message, /CNI_CONTAINERID/);
  }
});

Deno.test("An interface name that the kernel would not take is refused", () => {
  for (
    const name of [".", "..", "a/b", "a:b", "a b", "a%d", "a\t", "ethernet-number0", "é", "\0"]
  ) {
    const error = refused({ ...add, CNI_IFNAME: name });
    assert.equal(error.cniCode, 4);
    assert.match(error.message, /CNI_IFNAME/);
  }
});

Deno.test("Malformed CNI_ARGS are refused", () => {
  for (const args of ["x", "=y", "A=1;b"]) {
    assert.match(refused({ ...add, CNI_ARGS: args }).message, /CNI_ARGS/);
  }
});

Deno.test("DEL needs no namespace; GC, STATUS and VERSION need nothing", () => {
  const { CNI_NETNS: _, ...withoutNetns } = add;
  assert.equal(parseCniArgs({ ...withoutNetns, CNI_COMMAND: "DEL" }).netns, "");
  for (const command of ["GC", "STATUS", "VERSION"]) {
    assert.equal(parseCniArgs({ CNI_COMMAND: command }).command, command);
  }
});

Deno.test("The pod is taken from CNI_ARGS, and keys of others are left alone", () => {
  const args = parseCniArgs({
    ...add,
    CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=u-1;X=a=b;",
  });
  assert.deepEqual(args, {
    command: "ADD",
    containerId: "c0ffee",
    ifname: "eth0",
    netns: "/run/netns/x",
    pod: { namespace: "shop", name: "web-0", uid: "u-1" },
    wished: { ips: "", mac: "" },
  });
});

Deno.test("Only the variables of the specification are read", () => {
  const source: Record<string, string> = { ...add, CNI_SECRET: "x", PATH: "/bin" };
  assert.deepEqual(readCniEnv((name) => source[name]), add);
});

Deno.test("Any environment gives arguments or a CNI error, never another one", () => {
  const text = fc.string({ unit: "binary", maxLength: 40 });
  fc.assert(fc.property(
    fc.record({
      CNI_COMMAND: fc.constantFrom("ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "?"),
      CNI_CONTAINERID: text,
      CNI_NETNS: text,
      CNI_IFNAME: text,
      CNI_ARGS: text,
    }),
    (env) => {
      try {
        const args = parseCniArgs(env);
        assert.ok(args.ifname.length <= 15);
      } catch (thrown) {
        assert.ok(thrown instanceof CniError);
        assert.equal(thrown.cniCode, 4);
      }
    },
  ));
});
