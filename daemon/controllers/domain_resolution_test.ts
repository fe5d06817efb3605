import assert from "node:assert/strict";
import type { VRFDomain } from "../resources/vrf_domain.ts";
import type { VRFDomainBinding } from "../resources/vrf_domain_binding.ts";
import { acceptDomains, resolveDomain } from "./domain_resolution.ts";

const options = { serviceVrfMax: 512, asn: 65000 };

function domain(
  name: string,
  vrf: number,
  more: {
    table?: number;
    vnis?: number[];
    prefix?: string;
    age?: number;
    deleting?: boolean;
    allowed?: string[];
    exporting?: string;
  } = {},
): VRFDomain {
  return {
    metadata: {
      name,
      creationTimestamp: new Date(1_700_000_000_000 + (more.age ?? 0) * 1000).toISOString(),
      ...(more.deleting ? { deletionTimestamp: "2026-11-23T00:00:00Z" } : {}),
    },
    spec: {
      vrf,
      table: more.table ?? vrf + 2000,
      prefix: more.prefix ?? "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: (more.vnis ?? [vrf + 50000]).map((vni) => ({ type: "l3vni", vni, port: 4789 })),
      allowedNamespaces: more.allowed,
      ...more.exporting === undefined ? {} : { routeTargets: { export: [more.exporting] } },
    },
  };
}

function binding(name: string, namespace: string, target: string, age = 0): VRFDomainBinding {
  return {
    metadata: {
      name,
      creationTimestamp: new Date(1_700_000_000_000 + age * 1000).toISOString(),
    },
    spec: { namespaceRef: { name: namespace }, vrfDomainRef: { name: target } },
  };
}

function refusedBy(...domains: VRFDomain[]): string[] {
  return acceptDomains(domains, options).refused.map(({ name, reason }) => `${name} ${reason}`);
}

Deno.test("tenants with the same prefix are carried side by side", () => {
  const { accepted, refused } = acceptDomains([domain("b", 300), domain("a", 200)], options);
  assert.deepEqual(accepted.map(({ metadata }) => metadata.name), ["a", "b"]);
  assert.deepEqual(refused, []);
});

Deno.test("of two domains that contradict each other the older is carried, whatever the order", () => {
  const old = domain("old", 200, { age: 1 });
  for (
    const [young, reason] of [
      [domain("a", 200, { age: 2, table: 1, vnis: [1] }), "VRFInUse"],
      [domain("a", 201, { age: 2, table: 2200 }), "TableInUse"],
      [domain("a", 201, { age: 2, vnis: [7, 50200] }), "VNIInUse"],
    ] as const
  ) {
    assert.deepEqual(refusedBy(young, old), [`a ${reason}`]);
    assert.deepEqual(refusedBy(old, young), [`a ${reason}`]);
    const message = acceptDomains([young, old], options).refused[0]?.message ?? "";
    assert.match(message, /"old"/);
  }
});

Deno.test("domains of the same second are told apart by name", () => {
  assert.deepEqual(refusedBy(domain("b", 200), domain("a", 200)), ["b VRFInUse"]);
});

Deno.test("a refused domain claims nothing", () => {
  const first = domain("first", 200, { age: 1 });
  const refused = domain("refused", 200, { age: 2, table: 9, vnis: [9] });
  const third = domain("third", 201, { age: 3, table: 9, vnis: [9] });
  assert.deepEqual(refusedBy(first, refused, third), ["refused VRFInUse"]);
});

Deno.test("service VRFs must not overlap each other, but may overlap tenants", () => {
  const first = domain("first", 20, { table: 20, age: 1 });
  const second = domain("second", 21, { table: 21, age: 2, prefix: "10.150.0.0" });
  const apart = domain("apart", 22, { table: 22, age: 2, prefix: "10.151.0.0" });
  const tenant = domain("tenant", 200, { age: 3 });
  assert.deepEqual(refusedBy(first, second, apart, tenant), ["second PrefixInUse"]);
});

Deno.test("a domain that names one VNI twice is refused", () => {
  assert.deepEqual(refusedBy(domain("a", 200, { vnis: [5, 5] })), ["a VNIRepeated"]);
});

Deno.test("a domain whose routes would enter an older one by its default route target is refused", () => {
  const old = domain("old", 200, { age: 1 });
  const young = domain("young", 300, { age: 2, exporting: "65000:200" });
  assert.deepEqual(refusedBy(young, old), ["young RouteTargetInUse"]);
  const elder = domain("elder", 300, { age: 0, exporting: "65000:200" });
  assert.deepEqual(refusedBy(elder, old), ["old RouteTargetInUse"]);
});

Deno.test("a domain that is being deleted keeps its claims until it is gone", () => {
  const going = domain("going", 200, { age: 1, deleting: true });
  assert.deepEqual(refusedBy(going, domain("next", 200, { age: 2 })), ["next VRFInUse"]);
});

Deno.test("a namespace goes to its oldest binding's domain, and without one to the default", () => {
  const domains = [domain("vrf-42", 42), domain("blue", 200), domain("red", 300)];
  const bindings = [binding("b1", "shop", "red", 2), binding("b2", "shop", "blue", 1)];
  const input = { bindings, domains, defaultDomain: "vrf-42", ...options };
  assert.equal(resolveDomain("shop", input).ok?.metadata.name, "blue");
  assert.equal(resolveDomain("other", input).ok?.metadata.name, "vrf-42");
  const prepared = { ...input, domains: acceptDomains(domains, options) };
  assert.equal(resolveDomain("shop", prepared).ok?.metadata.name, "blue");
});

Deno.test("what keeps a namespace's pods from a domain is said with the names", () => {
  const domains = [
    domain("going", 200, { deleting: true }),
    domain("first", 300, { age: 1 }),
    domain("second", 300, { age: 2 }),
  ];
  const bindings = [
    binding("to-going", "a", "going"),
    binding("to-second", "b", "second"),
    binding("to-nothing", "c", "nothing"),
  ];
  const input = { bindings, domains, defaultDomain: "vrf-42", ...options };
  const cases = [
    ["a", "DomainDeleting", /"going".*"a".*"to-going"/],
    ["b", "DomainRefused", /"second".*"to-second".*"first"/],
    ["c", "DomainNotFound", /"nothing".*"to-nothing"/],
    ["d", "DomainNotFound", /"vrf-42".*default.*"d"/],
  ] as const;
  for (const [namespace, code, message] of cases) {
    const { error } = resolveDomain(namespace, input);
    assert.equal(error?.code, code);
    assert.match(error?.message ?? "", message);
  }
});

Deno.test("a domain that a pod wishes for is refused unless it lets the pod's namespace in", () => {
  const domains = [
    domain("own", 200),
    domain("closed", 300),
    domain("open", 400, { allowed: ["lab", "shop"] }),
    domain("public", 500, { allowed: ["*"] }),
    domain("going", 600, { allowed: ["*"], deleting: true }),
  ];
  const input = {
    domains,
    bindings: [binding("b", "shop", "own")],
    defaultDomain: "own",
    ...options,
  };
  const of = (namespace: string, wished: string) => resolveDomain(namespace, { ...input, wished });
  const refusals = [
    ["shop", "closed", "DomainNotAllowed", /"closed".*add "shop".*"spec\.allowedNamespaces"/],
    ["other", "open", "DomainNotAllowed", /"open".*wished.*"other"/],
    ["sho", "open", "DomainNotAllowed", /"sho"/],
    ["*", "open", "DomainNotAllowed", /./],
    ["shop", "nowhere", "DomainNotFound", /"nowhere".*wished/],
    ["shop", "going", "DomainDeleting", /"going"/],
  ] as const;
  for (const [namespace, wished, code, message] of refusals) {
    const { error } = of(namespace, wished);
    assert.equal(error?.code, code, wished);
    assert.match(error?.message ?? "", message);
  }
  for (
    const [namespace, wished] of [["shop", "open"], ["other", "public"], ["shop", "own"], [
      "",
      "closed",
    ]] as const
  ) {
    assert.equal(of(namespace, wished).ok?.metadata.name, wished);
  }
});
