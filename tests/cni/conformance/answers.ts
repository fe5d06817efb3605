/** What plugins print, read as the specification has it, and what is asserted of it. */
import assert from "node:assert/strict";
import { z } from "zod";
import type { Outcome } from "./subject.ts";

/** Versions of the specification whose results this suite knows, oldest first. */
export const knownVersions = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] as const;

/** One of {@linkcode knownVersions}. */
export type KnownVersion = typeof knownVersions[number];

// Go writes an empty list as null or leaves it out.
const list = <T extends z.ZodType>(item: T) =>
  z.array(item).nullish().transform((items) => items ?? []);

const interfaceSchema = z.looseObject({
  name: z.string().min(1),
  mac: z.string().optional(),
  sandbox: z.string().optional(),
});

const ipFields = {
  address: z.union([z.cidrv4(), z.cidrv6()]),
  gateway: z.union([z.ipv4(), z.ipv6()]).optional(),
  interface: z.int().nonnegative().optional(),
};

const routeSchema = z.looseObject({
  dst: z.union([z.cidrv4(), z.cidrv6()]),
  gw: z.union([z.ipv4(), z.ipv6()]).optional(),
});

const commonFields = {
  cniVersion: z.string(),
  interfaces: list(interfaceSchema),
  routes: list(routeSchema),
  dns: z.looseObject({}).optional(),
};

/** Before 1.0.0 each address names its family. */
const oldResult = z.looseObject({
  ...commonFields,
  ips: list(z.looseObject({ ...ipFields, version: z.enum(["4", "6"]) })),
});
const newResult = z.looseObject({
  ...commonFields,
  ips: list(z.looseObject({ ...ipFields, version: z.undefined().optional() })),
});

/** An ADD result. */
export type Result = z.infer<typeof oldResult> | z.infer<typeof newResult>;

const errorSchema = z.looseObject({
  // A case of its own asks for it: else a plugin that never gives it would fail in all the others.
  cniVersion: z.string().optional(),
  code: z.int().min(1),
  msg: z.string().min(1),
  details: z.string().optional(),
});

const versionsSchema = z.looseObject({
  cniVersion: z.string(),
  supportedVersions: z.array(z.string()).min(1),
});

/** Reads the answer to an ADD that must have succeeded (SPEC 1.1, section 5, "ADD Success"). */
export function resultOf(outcome: Outcome, version: KnownVersion): Result {
  assert.equal(outcome.code, 0, `Expected success, found ${outcome.stdout}${outcome.stderr}`);
  const schema = version < "1.0.0" ? oldResult : newResult;
  const result = parsed(schema, outcome.stdout, `a result of version ${version}`);
  assert.equal(result.cniVersion, version);
  for (const { interface: index } of result.ips) {
    if (index === undefined) continue;
    assert.ok(
      index < result.interfaces.length,
      `"ips" names interface ${index}, which is not there`,
    );
  }
  return result;
}

/** What must hold of a refusal. */
export interface Refusal {
  /** The code; any when absent. */
  readonly code?: number | readonly number[];
  /** What `msg` or `details` must say; anything when absent. */
  readonly says?: RegExp;
}

/** Asserts that a call was refused by an error object (SPEC 1.1, section 5, "Error"). */
export function assertRefused(
  outcome: Outcome,
  expected: Refusal = {},
): z.infer<typeof errorSchema> {
  assert.notEqual(outcome.code, 0, `Expected a refusal, found success: ${outcome.stdout}`);
  const error = parsed(errorSchema, outcome.stdout, "an error object");
  const codes = expected.code === undefined ? [] : [expected.code].flat();
  if (codes.length > 0) {
    const said = `${error.code}: ${error.msg}`;
    assert.ok(codes.includes(error.code), `Expected code ${codes.join(" or ")}, found ${said}`);
  }
  if (expected.says !== undefined) {
    assert.match(`${error.msg} ${error.details ?? ""}`, expected.says);
  }
  return error;
}

/** Asserts that a command without a result succeeded. Nothing but a result belongs on stdout. */
export function assertDone(outcome: Outcome): void {
  assert.equal(outcome.code, 0, `Expected success, found ${outcome.stdout}${outcome.stderr}`);
  assert.equal(outcome.stdout.trim(), "", "Expected nothing on stdout");
}

/** Reads the answer to VERSION (SPEC 1.1, section 5, "VERSION Success"). */
export function versionsOf(outcome: Outcome): z.infer<typeof versionsSchema> {
  assert.equal(outcome.code, 0, `Expected success, found ${outcome.stdout}${outcome.stderr}`);
  return parsed(versionsSchema, outcome.stdout, "the supported versions");
}

function parsed<T extends z.ZodType>(schema: T, text: string, what: string): z.infer<T> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    assert.fail(`Expected ${what} as JSON on stdout, found ${JSON.stringify(text.slice(0, 200))}`);
  }
  const read = schema.safeParse(value);
  if (!read.success) assert.fail(`Expected ${what}, found ${z.prettifyError(read.error)}: ${text}`);
  return read.data;
}
