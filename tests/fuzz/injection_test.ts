/**
 * Objects with hostile texts in each of their fields, through the schemas and on to what FRR and nft are given: a schema refuses them, or they
 * stand there as one value, or the renderer refuses.
 */
import assert from "node:assert/strict";
import { renderFrr } from "../../frr/render.ts";
import { CodedError } from "../../lib/errors.ts";
import { renderFirewall } from "../../daemon/firewall/render.ts";
import { gather } from "../../daemon/reconcile/gather.ts";
import { insidePrefixes, planNode } from "../../daemon/reconcile/plan.ts";
import { reachOf } from "../../daemon/reconcile/reach.ts";
import type { ResourceKind, ResourceObject } from "../../daemon/resources/kind.ts";
import { coreKinds, nodeKind } from "../../daemon/resources/core.ts";
import { ownKinds } from "../../daemon/resources/registry.ts";
import { vrfDomainKind } from "../../daemon/resources/vrf_domain.ts";
import { vrfNodeConfigKind } from "../../daemon/resources/vrf_node_config.ts";
import { vrfRoutingPolicyKind } from "../../daemon/resources/vrf_routing_policy.ts";
import { hostileTexts } from "./hostile_texts.ts";
import { objectOf } from "./sample_objects.ts";

const underlay = { ifname: "eth0", ifindex: 2, address: "192.168.124.1", mtu: 1500 };

/** What FRR and nft are given for objects, some of them in place of the ordinary ones. */
function render(changed: Partial<Record<string, unknown>>): { frr: string; nft: string } {
  const parse = <T extends ResourceObject>(kind: ResourceKind<T>): T =>
    kind.schema.parse(changed[kind.kind] ?? objectOf(kind));
  const config = parse(vrfNodeConfigKind);
  const domain = parse(vrfDomainKind);
  const gathered = gather({
    node: "node1",
    asn: 65000,
    serviceVrfMax: 512,
    domains: [domain],
    nodes: [parse(nodeKind)],
    nodeConfigs: [config],
    ownConfig: config,
    policies: [parse(vrfRoutingPolicyKind)],
    blocks: [],
    unreadable: 0,
    attachments: new Map(),
    ports: new Map(),
  });
  const { problems: _, ...reach } = reachOf(gathered.reach, underlay);
  const plan = planNode({ ...gathered.input, ...reach, underlay });
  const vrfs = plan.vrfs.map((spec) => ({
    mark: 1,
    egress: "nat" as const,
    ingress: spec.overlays.map(({ bridge }) => bridge),
    prefixes: insidePrefixes(spec),
    blocks: spec.blocks,
    neighbors: insidePrefixes(spec),
  }));
  const { markMask, outward, nat66 } = plan;
  const content = renderFirewall({ markMask, outward, nat66, vrfs });
  return {
    frr: renderFrr(plan.frr),
    nft: JSON.stringify([content.sets, content.chains((set) => set)]),
  };
}

/** The object with each of its texts in turn put for another one. */
function* withText(value: unknown, text: string): Generator<unknown> {
  if (typeof value === "string") yield text;
  else if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) {
      for (const changed of withText(item, text)) yield value.with(at, changed);
    }
  } else if (typeof value === "object" && value !== null) {
    for (const [key, child] of Object.entries(value)) {
      for (const changed of withText(child, text)) yield { ...value, [key]: changed };
    }
  }
}

/** The object with each of its numbers in turn put for another one. */
function* withNumber(value: unknown, number: number): Generator<unknown> {
  if (typeof value === "number") yield number;
  else if (typeof value === "object" && value !== null) {
    for (const [key, child] of Object.entries(value)) {
      for (const changed of withNumber(child, number)) {
        yield Array.isArray(value)
          ? value.with(Number(key), changed)
          : { ...value, [key]: changed };
      }
    }
  }
}

const ordinary = render({});
/** The first words of lines that open a section, or end one. */
const sections = (text: string) => text.split("\n").filter((line) => /^[a-z]/.test(line)).length;
const firstWords = (text: string) =>
  new Set(text.split("\n").map((line) => line.trim().split(" ")[0]));
const known = firstWords(ordinary.frr);

/** What is wrong with what FRR and nft are given; empty when each text is one value. */
function faultOf({ frr, nft }: { frr: string; nft: string }): string {
  const odd = frr.split("\n").find((line) => !/^(?: *!|[ -~]*)$/.test(line) || /.!.*!/.test(line));
  if (odd !== undefined) return `the line ${JSON.stringify(odd)}`;
  const unknown = [...firstWords(frr)].filter((word) => !known.has(word));
  if (unknown.length > 0) return `lines that begin with ${unknown}`;
  if (sections(frr) > sections(ordinary.frr)) return `${sections(frr)} lines of sections`;
  return /[\n;]|"@(?!ingress|outward|links|own|marks|origins|natted|closed|inside6?|neighbors6?|blocks6?")/
      .test(nft)
    ? `the table ${nft}`
    : "";
}

/** Tries changed objects; gives how many were accepted. */
function tryAll(changes: (object: unknown) => Iterable<unknown>): number {
  let accepted = 0;
  for (const kind of [vrfDomainKind, vrfNodeConfigKind, vrfRoutingPolicyKind, nodeKind]) {
    for (const object of changes(objectOf(kind))) {
      if (!kind.schema.safeParse(object).success) continue;
      accepted++;
      try {
        assert.equal(faultOf(render({ [kind.kind]: object })), "", JSON.stringify(object));
      } catch (thrown) {
        if (!(thrown instanceof CodedError)) throw thrown;
      }
    }
  }
  return accepted;
}

Deno.test("the objects that are changed are ones that their kinds accept", () => {
  for (const kind of [...ownKinds, ...coreKinds]) {
    const { success } = kind.schema.safeParse(objectOf(kind));
    assert.ok(success, kind.kind);
  }
});

Deno.test("no text of an object is more than one value to FRR and nft", () => {
  const accepted = hostileTexts.map((text) => tryAll((object) => withText(object, text)));
  // Names, labels and annotations are free: they must get nowhere.
  assert.ok(accepted.every((count) => count > 0), String(accepted));
});

Deno.test("no absurd number of an object gets to FRR or nft", () => {
  for (
    const number of [NaN, Infinity, 1e308, -1e308, -0, -1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e-300]
  ) {
    tryAll((object) => withNumber(object, number));
  }
});

Deno.test("what pollutes other objects than the one that it stands in changes nothing", () => {
  const text = JSON.stringify(objectOf(vrfDomainKind));
  for (const key of ["__proto__", "constructor", "prototype"]) {
    for (const at of ['"spec":{', '"metadata":{', '"labels":{', '"status":{', '"routeTargets":{']) {
      const polluted: unknown = JSON.parse(
        text.replace(at, `${at}"${key}":{"egress":"none","prototype":{"vrf":1}},`),
      );
      const { success } = vrfDomainKind.schema.safeParse(polluted);
      if (success) assert.deepEqual(render({ VRFDomain: polluted }), ordinary, `${key} in ${at}`);
      assert.equal(Reflect.get({}, "egress"), undefined);
    }
  }
});
