/** SPEC 1.1, section 2, "Parameters" and "Errors"; section 1: what is wrong with a call before it does anything. */
import assert from "node:assert/strict";
import { assertRefused } from "./answers.ts";
import type { Bench, ConformanceCase } from "./conformance_case.ts";
import { ifname } from "./conformance_case.ts";
import { configOf } from "./subject.ts";

const parameters = 'section 2, "Parameters"';
const errors = 'section 5, "Error"';

/** Invalid environment variables (the specification's table of codes). */
const invalidEnvironment = 4;

async function refusedEnv(
  bench: Bench,
  env: Readonly<Record<string, string | undefined>>,
  says: RegExp,
  command = "ADD",
): Promise<void> {
  const container = await bench.container();
  assertRefused(await bench.call(command, container, { env }), { code: invalidEnvironment, says });
}

function missing(command: string, variable: string): ConformanceCase {
  return {
    id: `env-${command.toLowerCase()}-without-${variable.slice(4).toLowerCase()}`,
    section: parameters,
    title: `${command} without ${variable} is refused with code 4 and the variable's name`,
    ...command === "CHECK" ? { since: "0.4.0" } : {},
    run: (bench) => refusedEnv(bench, { [variable]: undefined }, new RegExp(variable), command),
  };
}

function wrong(id: string, variable: string, value: string, what: string): ConformanceCase {
  return {
    id,
    section: parameters,
    title: `${variable} ${what} is refused with code 4`,
    run: (bench) => refusedEnv(bench, { [variable]: value }, /./),
  };
}

/** All cases. */
export const environmentCases: readonly ConformanceCase[] = [
  {
    id: "env-without-command",
    section: parameters,
    title: "A call without CNI_COMMAND is refused with code 4 and the variable's name",
    run: (bench) => refusedEnv(bench, { CNI_COMMAND: undefined }, /CNI_COMMAND/),
  },
  {
    id: "env-unknown-command",
    section: parameters,
    title: "An unknown CNI_COMMAND is refused with code 4",
    run: (bench) => refusedEnv(bench, { CNI_COMMAND: "REMOVE" }, /./),
  },
  missing("ADD", "CNI_CONTAINERID"),
  missing("ADD", "CNI_NETNS"),
  missing("ADD", "CNI_IFNAME"),
  missing("DEL", "CNI_CONTAINERID"),
  missing("DEL", "CNI_IFNAME"),
  missing("CHECK", "CNI_CONTAINERID"),
  missing("CHECK", "CNI_NETNS"),
  missing("CHECK", "CNI_IFNAME"),
  wrong("env-container-id-start", "CNI_CONTAINERID", "-abc", "that starts with a hyphen"),
  wrong("env-container-id-slash", "CNI_CONTAINERID", "../../etc", "with a slash"),
  wrong("env-container-id-blank", "CNI_CONTAINERID", "a b", "with a blank"),
  wrong("env-ifname-long", "CNI_IFNAME", "e123456789012345", "of 16 characters"),
  wrong("env-ifname-dot", "CNI_IFNAME", ".", 'that is "."'),
  wrong("env-ifname-dots", "CNI_IFNAME", "..", 'that is ".."'),
  wrong("env-ifname-slash", "CNI_IFNAME", "eth/0", "with a slash"),
  wrong("env-ifname-colon", "CNI_IFNAME", "eth0:1", "with a colon"),
  wrong("env-ifname-blank", "CNI_IFNAME", "eth 0", "with a blank"),
  {
    id: "env-own-netns",
    section: parameters,
    title: "CNI_NETNS that is the plugin's own namespace is refused",
    run: async (bench) => {
      const container = await bench.container();
      assertRefused(await bench.call("ADD", container, { netns: "/proc/1/ns/net" }));
    },
  },
  {
    id: "env-netns-missing",
    section: parameters,
    title: "ADD with a CNI_NETNS that does not exist is refused",
    run: async (bench) => {
      const container = await bench.container();
      assertRefused(await bench.call("ADD", container, { netns: `${container.netns}-none` }));
    },
  },
  {
    id: "config-no-json",
    section: errors,
    title: "A configuration that is no JSON is refused with code 6",
    run: async (bench) => {
      const container = await bench.container();
      assertRefused(await bench.call("ADD", container, { stdin: '{"cniVersion":' }), { code: 6 });
    },
  },
  {
    id: "config-empty",
    section: errors,
    title: "An empty stdin is refused with code 6",
    run: async (bench) => {
      const container = await bench.container();
      assertRefused(await bench.call("ADD", container, { stdin: "" }), { code: 6 });
    },
  },
  {
    id: "config-unknown-version",
    section: errors,
    title: "A version that the plugin does not support is refused with code 1",
    run: async (bench) => {
      const container = await bench.container();
      const stdin = configOf(bench.subject, "99.0.0");
      assertRefused(await bench.call("ADD", container, { stdin }), { code: 1 });
    },
  },
  ...["", "-net", "a net", "../net"].map((name, index): ConformanceCase => ({
    id: `config-network-name-${index + 1}`,
    section: 'section 1, "Configuration format"',
    title: `The network name ${JSON.stringify(name)} is refused with code 7`,
    run: async (bench) => {
      const container = await bench.container();
      const stdin = { ...configOf(bench.subject, bench.newest), name };
      assertRefused(await bench.call("ADD", container, { stdin }), { code: 7 });
    },
  })),
  {
    id: "error-version",
    section: errors,
    title: 'An error object has the configuration\'s "cniVersion"',
    run: async (bench) => {
      const container = await bench.container();
      for (const version of bench.versions) {
        const stdin = configOf(bench.subject, version);
        const outcome = await bench.call("ADD", container, { stdin, env: { CNI_IFNAME: "a b" } });
        assert.equal(assertRefused(outcome).cniVersion, version);
      }
    },
  },
  {
    id: "refusal-leaves-nothing",
    section: 'section 2, "ADD"',
    title: "A call that is refused leaves no interface in the container",
    run: async (bench) => {
      const container = await bench.container();
      assertRefused(await bench.call("ADD", container, { env: { CNI_CONTAINERID: "a b" } }));
      const names = (await container.interfaces()).map(({ name }) => name);
      assert.ok(!names.includes(ifname), `Found ${names}`);
    },
  },
];
