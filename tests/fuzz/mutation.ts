/** Inputs made of recorded ones: bytes, texts and JSON, changed as no honest sender would. */
import fc from "fast-check";
import { hostileTexts } from "./hostile_texts.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** One change of bytes; positions count modulo the length. */
type Edit =
  | { readonly kind: "set" | "flip" | "insert"; readonly at: number; readonly value: number }
  | { readonly kind: "cut" | "repeat"; readonly at: number; readonly length: number }
  | { readonly kind: "end"; readonly at: number };

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("set", "flip", "insert"),
    at: fc.nat(1 << 16),
    value: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff)),
  }),
  fc.record({
    kind: fc.constantFrom("cut", "repeat"),
    at: fc.nat(1 << 16),
    length: fc.integer({ min: 1, max: 64 }),
  }),
  fc.record({ kind: fc.constant("end"), at: fc.nat(1 << 16) }),
);

/** Bytes of one of the recorded inputs, changed in up to eight places; sometimes noise. */
export function changedBytes(recorded: readonly Bytes[]): fc.Arbitrary<Bytes> {
  const changed = fc.tuple(fc.constantFrom(...recorded), fc.array(edit, { maxLength: 8 }))
    .map(([bytes, edits]) => edits.reduce(changeBytes, bytes));
  const noise = fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(bytes));
  return fc.oneof({ weight: 9, arbitrary: changed }, { weight: 1, arbitrary: noise });
}

function changeBytes(bytes: Bytes, change: Edit): Bytes {
  const at = bytes.length === 0 ? 0 : change.at % bytes.length;
  const around = (from: number, middle: Bytes, to: number): Bytes =>
    Uint8Array.from([...bytes.subarray(0, from), ...middle, ...bytes.subarray(to)]);
  switch (change.kind) {
    case "set":
      return around(at, Uint8Array.of(change.value), at + 1);
    case "flip":
      return around(at, Uint8Array.of((bytes[at] ?? 0) ^ change.value), at + 1);
    case "insert":
      return around(at, Uint8Array.of(change.value), at);
    case "cut":
      return around(at, new Uint8Array(), at + change.length);
    case "repeat":
      return around(at, bytes.slice(at, at + change.length), at);
    case "end":
      return bytes.slice(0, at);
  }
}

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** One of the recorded texts with changed bytes, or with a hostile text put into it. */
export function changedText(recorded: readonly string[]): fc.Arbitrary<string> {
  const bytes = recorded.map((text) => encoder.encode(text));
  return fc.oneof(
    changedBytes(bytes).map((changed) => decoder.decode(changed)),
    fc.tuple(fc.constantFrom(...recorded), fc.nat(1 << 16), hostileText)
      .map(([text, at, added]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + added + text.slice(place);
      }),
  );
}

/** Texts that break out of something, or that are long, empty or odd. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...hostileTexts),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ maxLength: 40 }),
);

/** Numbers that no field means. As JSON, 1e400 is read as infinity. */
const hostileNumber = fc.constantFrom(
  ...["-0", "1e308", "-1e308", "1e400", "9007199254740993", "4294967296", "-1", "0.1", "1e-300"],
);

/** Any value, as JSON text: only a text can have keys twice, `__proto__` and numbers that are none. */
const hostileJson: fc.Arbitrary<string> = fc.oneof(
  hostileNumber,
  hostileText.map((text) => JSON.stringify(text)),
  fc.json({ maxDepth: 2 }),
  fc.constantFrom(
    ...["null", "true", "[]", "{}", '""', '{"__proto__":{"polluted":true}}'],
    '{"constructor":{"prototype":{"polluted":true}}}',
    '{"toString":1,"valueOf":2,"then":{},"toJSON":3}',
    "[".repeat(200) + "]".repeat(200),
    `[${"0,".repeat(2_000)}0]`,
    '{"a":1,"a":2}',
  ),
);

/** What happens to one place of a JSON value. */
interface JsonChange {
  readonly at: number;
  readonly kind: "replace" | "drop" | "rename" | "add" | "double";
  readonly json: string;
  readonly key: string;
}

const jsonChange: fc.Arbitrary<JsonChange> = fc.record({
  at: fc.nat(1 << 16),
  kind: fc.constantFrom("replace", "replace", "drop", "rename", "add", "double"),
  json: hostileJson,
  key: fc.oneof(fc.constantFrom("__proto__", "constructor", "prototype", "toString"), hostileText),
});

/** One of the recorded values as JSON text, with other values, keys and members in up to three places. */
export function changedJson(recorded: readonly unknown[]): fc.Arbitrary<string> {
  return fc.tuple(
    fc.constantFrom(...recorded),
    fc.array(jsonChange, { minLength: 1, maxLength: 3 }),
  ).map(([value, changes]) => {
    const places = { count: 0 };
    countPlaces(value, places);
    return write(value, changes.map((change) => ({ ...change, at: change.at % places.count })), {
      count: 0,
    });
  });
}

function countPlaces(value: unknown, places: { count: number }): void {
  places.count++;
  if (typeof value !== "object" || value === null) return;
  for (const child of Object.values(value)) countPlaces(child, places);
}

/** JSON text of a value whose places are counted in the order of {@linkcode countPlaces}. */
function write(
  value: unknown,
  changes: readonly JsonChange[],
  places: { count: number },
): string {
  const here = places.count++;
  const change = changes.find(({ at }) => at === here);
  const text = writeUnchanged(value, changes, places, change);
  return change?.kind === "replace" ? change.json : text;
}

function writeUnchanged(
  value: unknown,
  changes: readonly JsonChange[],
  places: { count: number },
  change: JsonChange | undefined,
): string {
  if (Array.isArray(value)) {
    const items = value.map((item: unknown) => write(item, changes, places));
    const [first = "null", ...rest] = items;
    if (change?.kind === "drop") return `[${rest.join(",")}]`;
    if (change?.kind === "double") return `[${[first, ...items].join(",")}]`;
    return `[${(change?.kind === "add" ? [...items, change.json] : items).join(",")}]`;
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const members = Object.entries(value).map(([key, child]): [string, string] => [
    key,
    write(child, changes, places),
  ]);
  return `{${
    changeMembers(members, change).map(([key, text]) => `${JSON.stringify(key)}:${text}`).join(",")
  }}`;
}

function changeMembers(
  members: readonly [string, string][],
  change: JsonChange | undefined,
): readonly [string, string][] {
  const [first, ...rest] = members;
  if (change === undefined || change.kind === "replace") return members;
  if (change.kind === "add" || first === undefined) return [...members, [change.key, change.json]];
  if (change.kind === "drop") return rest;
  if (change.kind === "rename") return [[change.key, first[1]], ...rest];
  return [...members, [first[0], change.json]];
}
