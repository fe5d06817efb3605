import assert from "node:assert/strict";
import type { FrrModel, FrrNeighbor, FrrVrf } from "./model.ts";
import { renderFrr } from "./render.ts";
import { goldenNames, readGolden, readGoldenModel } from "./testing/goldens.ts";
import { FrrModelError } from "./validate.ts";

const vrf: FrrVrf = {
  name: "vrf-200",
  l3vni: 50200,
  rd: "192.168.124.1:200",
  routerId: "192.168.124.1",
  routeTargets: { import: ["65000:200"], export: ["65000:200"] },
  prefix: "10.150.0.0/16",
};
const model: FrrModel = {
  asn: 65000,
  routerId: "192.168.124.1",
  neighbors: [{ address: "192.168.124.2", remoteAs: "internal" }],
  vrfs: [vrf],
};

function assertRefused(change: Partial<FrrModel>, path: string): void {
  assert.throws(() => renderFrr({ ...model, ...change }), (error) => {
    assert(error instanceof FrrModelError);
    assert.equal(error.code, "FrrModelInvalid");
    assert.equal(error.path, path);
    return true;
  });
}

Deno.test("no string of a model can break out of FRR's syntax", () => {
  const hostile = [
    "",
    " ",
    "x\nexit",
    "x y",
    "x\r",
    "x!",
    "x?",
    "x;y",
    "\u00e9",
    "1.2.3.4\n",
    "vrf-200\nnetns x",
    "-",
  ];
  for (const text of hostile) {
    assertRefused({ routerId: text }, "routerId");
    assertRefused({ nextHop: text }, "nextHop");
    assertRefused({ neighbors: [{ address: text, remoteAs: "internal" }] }, "neighbors[0].address");
    const peer = { address: "192.168.124.2", remoteAs: "internal" } as const;
    // Plain words are what a description is for.
    if (!["x y", "x;y", "-"].includes(text)) {
      assertRefused({ neighbors: [{ ...peer, description: text }] }, "neighbors[0].description");
    }
    assertRefused({ neighbors: [{ ...peer, updateSource: text }] }, "neighbors[0].updateSource");
    assertRefused(
      { neighbors: [{ ...peer, gracefulRestart: text as "restart" }] },
      "neighbors[0].gracefulRestart",
    );
    assertRefused({ vrfs: [{ ...vrf, name: text }] }, "vrfs[0].name");
    assertRefused({ vrfs: [{ ...vrf, rd: text }] }, "vrfs[0].rd");
    assertRefused({ vrfs: [{ ...vrf, routerId: text }] }, "vrfs[0].routerId");
    assertRefused({ vrfs: [{ ...vrf, prefix: text }] }, "vrfs[0].prefix");
    assertRefused({ vrfs: [{ ...vrf, prefix6: text }] }, "vrfs[0].prefix6");
    assertRefused(
      { vrfs: [{ ...vrf, routeTargets: { import: [], export: [text] } }] },
      "vrfs[0].routeTargets.export[0]",
    );
  }
});

Deno.test("what FRR would rewrite or refuse is not rendered", () => {
  for (const name of ["default", "all", "a-name-too-long-x", "200"]) {
    assertRefused({ vrfs: [{ ...vrf, name }] }, "vrfs[0].name");
  }
  for (
    const prefix of [
      "10.150.0.1/16",
      "10.150.0.0",
      "10.150.0.0/33",
      "10.150.0.0/016",
      "10.150.0.0/16/1",
    ]
  ) {
    assertRefused({ vrfs: [{ ...vrf, prefix }] }, "vrfs[0].prefix");
  }
  const prefixes6 = [
    "fd00:150::1/48",
    "FD00:150::/48",
    "fd00:150:0::/48",
    "10.150.0.0/16",
    "fd00::",
  ];
  for (const prefix6 of prefixes6) {
    assertRefused({ vrfs: [{ ...vrf, prefix6 }] }, "vrfs[0].prefix6");
  }
  const { prefix: _none, ...unaddressed } = vrf;
  assertRefused({ vrfs: [unaddressed] }, "vrfs[0].prefix");
  for (
    const rd of [
      "1.2.3.4:65536",
      "65536:65536",
      "65535:4294967296",
      "1:2:3",
      "01:2",
      "4294967295:1",
    ]
  ) {
    assertRefused({ vrfs: [{ ...vrf, rd }] }, "vrfs[0].rd");
  }
  for (const l3vni of [0, -1, 1.5, 2 ** 24, NaN]) {
    assertRefused({ vrfs: [{ ...vrf, l3vni }] }, "vrfs[0].l3vni");
  }
  for (const asn of [0, -1, 2 ** 32 - 1, 1.5, NaN]) assertRefused({ asn }, "asn");
  for (const nextHop of ["0.0.0.1", "224.0.0.1", "fd00::1"]) {
    assertRefused({ nextHop }, "nextHop");
  }
  const four = ["0.0.0.1", "224.0.0.1", "256.1.1.1", "1.2.3", "01.2.3.4"];
  const six = ["::", "::1", "FD00::1", "fd00:0::1", "ff02::1", "fe80::1", "::ffff:192.0.2.1"];
  for (const address of [...four, ...six, "fe80::1%eth0"]) {
    assertRefused({ neighbors: [{ address, remoteAs: 65000 }] }, "neighbors[0].address");
  }
});

Deno.test("entries of a filter that FRR would change or refuse are not rendered", () => {
  const entry = { prefix: "10.0.0.0/8", action: "permit" } as const;
  for (
    const [change, at] of [
      [{ prefix: "10.0.0.1/8" }, "prefix"],
      [{ prefix: "10.0.0.0/8\nexit" }, "prefix"],
      [{ prefix: "2001:DB8::/32" }, "prefix"],
      [{ ge: 8 }, "ge"],
      [{ le: 8 }, "le"],
      [{ le: 33 }, "le"],
      [{ ge: 24, le: 16 }, "le"],
      [{ ge: NaN }, "ge"],
      [{ action: "permit any" as "permit" }, "action"],
    ] as const
  ) {
    for (const direction of ["import", "export"] as const) {
      const filters = { [direction]: [entry, { ...entry, ...change }] };
      assertRefused({ vrfs: [{ ...vrf, filters }] }, `vrfs[0].filters.${direction}[1].${at}`);
    }
  }
});

Deno.test("a password that FRR would not take is refused without being told", () => {
  for (const password of ["", "two words", "help?", "line\nend", "\u00e9t\u00e9", "x".repeat(81)]) {
    assert.throws(
      () =>
        renderFrr({
          ...model,
          neighbors: [{ address: "192.0.2.1", remoteAs: "internal", password }],
        }),
      (error) => {
        assert(error instanceof FrrModelError);
        assert.equal(error.path, "neighbors[0].password");
        assert(password === "" || !error.message.includes(password));
        return true;
      },
    );
  }
});

Deno.test("numbers of a peer that FRR would change or refuse are not rendered", () => {
  const refused = (change: Partial<FrrNeighbor>, at: string) =>
    assertRefused(
      { neighbors: [{ address: "192.168.124.2", remoteAs: 65500, ...change }] },
      `neighbors[0].${at}`,
    );
  for (const [keepalive, hold] of [[0, 9], [4, 9], [1, 2], [1.5, 9], [NaN, 9]] as const) {
    const at = hold === 2 ? "timers.hold" : "timers.keepalive";
    refused({ timers: { keepalive, hold } }, at);
  }
  refused({ timers: { keepalive: 3, hold: 65536 } }, "timers.hold");
  for (const value of [0, 65536]) refused({ connectRetry: value }, "connectRetry");
  for (const value of [1, 256]) refused({ ebgpMultihop: value }, "ebgpMultihop");
  for (const value of [0, 11]) refused({ allowAsIn: value }, "allowAsIn");
  for (const value of [1, 256]) {
    refused({ bfd: { detectMultiplier: value } }, "bfd.detectMultiplier");
  }
  for (const value of [9, 60_001]) {
    refused({ bfd: { receiveInterval: value } }, "bfd.receiveInterval");
    refused({ bfd: { transmitInterval: value } }, "bfd.transmitInterval");
  }
  for (const source of ["fe80::1", "224.0.0.1", "0lo", "an-interface-too-long"]) {
    refused({ updateSource: source }, "updateSource");
  }
});

Deno.test("what must be unique on a node is", () => {
  const other = { ...vrf, name: "vrf-300", rd: "192.168.124.1:300", l3vni: 50300 };
  assertRefused({ vrfs: [vrf, { ...other, name: vrf.name }] }, "vrfs");
  assertRefused({ vrfs: [vrf, { ...other, rd: vrf.rd }] }, "vrfs");
  assertRefused({ vrfs: [vrf, { ...other, l3vni: 50200 }] }, "vrfs");
  assertRefused({ neighbors: [...model.neighbors, ...model.neighbors] }, "neighbors");
  assertRefused(
    { vrfs: [{ ...vrf, routeTargets: { import: ["1:1", "1:1"], export: [] } }] },
    "vrfs[0].routeTargets",
  );
});

Deno.test("every golden model gives its golden text", async () => {
  const names = await goldenNames();
  assert(names.length >= 10);
  for (const name of names) {
    assert.equal(renderFrr(await readGoldenModel(name)), await readGolden(name), name);
  }
});

Deno.test("the order of a model's lists does not show in the text", async () => {
  const golden = await readGoldenModel("shared_services");
  const reversed: FrrModel = {
    ...golden,
    neighbors: golden.neighbors.toReversed(),
    vrfs: golden.vrfs.toReversed().map((vrf) => ({
      ...vrf,
      routeTargets: {
        import: vrf.routeTargets.import.toReversed(),
        export: vrf.routeTargets.export.toReversed(),
      },
    })),
  };
  assert.equal(renderFrr(reversed), renderFrr(golden));
});

Deno.test("the route target that FRR derives by itself is left out alone, and comes last among others", () => {
  const vrf = {
    name: "vrf-42",
    l3vni: 42,
    rd: "192.0.2.1:42",
    routerId: "192.0.2.1",
    prefix: "10.244.0.0/16",
  };
  const lines = (asn: number, targets: string[]) =>
    renderFrr({
      asn,
      routerId: "192.0.2.1",
      neighbors: [],
      vrfs: [{ ...vrf, routeTargets: { import: targets, export: [] } }],
    }).split("\n").filter((line) => line.includes("route-target")).map((line) => line.trim());
  assert.deepEqual(lines(65000, ["65000:42"]), []);
  assert.deepEqual(lines(65000, ["65000:42", "65000:7", "65000:99"]), [
    "route-target import 65000:7",
    "route-target import 65000:99",
    "route-target import 65000:42",
  ]);
  assert.deepEqual(lines(4_200_000_000, ["4200000000:42"]), ["route-target import 4200000000:42"]);
});
