import assert from "node:assert/strict";
import type { FrrModel, FrrVrf } from "./model.ts";
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
    assertRefused({ neighbors: [{ address: text, remoteAs: "internal" }] }, "neighbors[0].address");
    assertRefused({ vrfs: [{ ...vrf, name: text }] }, "vrfs[0].name");
    assertRefused({ vrfs: [{ ...vrf, rd: text }] }, "vrfs[0].rd");
    assertRefused({ vrfs: [{ ...vrf, routerId: text }] }, "vrfs[0].routerId");
    assertRefused({ vrfs: [{ ...vrf, prefix: text }] }, "vrfs[0].prefix");
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
  for (const address of ["0.0.0.1", "224.0.0.1", "256.1.1.1", "1.2.3", "01.2.3.4", "::1"]) {
    assertRefused({ neighbors: [{ address, remoteAs: 65000 }] }, "neighbors[0].address");
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
