import assert from "node:assert/strict";
import { parseConfig } from "./config.ts";
import { createDomainView } from "./domain_view.ts";
import type { VRFDomain } from "./resources/vrf_domain.ts";
import type { VRFDomainBinding } from "./resources/vrf_domain_binding.ts";

/** A cache whose lists are counted. */
class CountedCache<T> {
  lists = 0;
  #objects: readonly T[] = [];
  readonly #subscribers = new Set<() => void>();

  set(objects: readonly T[]): void {
    this.#objects = objects;
    for (const subscriber of this.#subscribers) subscriber();
  }

  list(): readonly T[] {
    this.lists++;
    return this.#objects;
  }

  subscribe(changed: () => void): () => void {
    this.#subscribers.add(changed);
    return () => this.#subscribers.delete(changed);
  }
}

function domain(index: number): VRFDomain {
  return {
    metadata: { name: `tenant-${index}` },
    spec: {
      vrf: 1000 + index,
      table: 3000 + index,
      prefix: "10.0.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: 60_000 + index, port: 4789 }],
    },
  };
}

function binding(index: number, namespace: string, name: string): VRFDomainBinding {
  return {
    metadata: { name: `binding-${index}` },
    spec: { namespaceRef: { name: namespace }, vrfDomainRef: { name } },
  };
}

function bench() {
  const domains = new CountedCache<VRFDomain>();
  const bindings = new CountedCache<VRFDomainBinding>();
  const view = createDomainView(
    { domains: { cache: domains }, bindings: { cache: bindings }, unsynced: () => [] },
    parseConfig(""),
  );
  domains.set(Array.from({ length: 500 }, (_, index) => domain(index)));
  bindings.set(
    Array.from(
      { length: 2000 },
      (_, index) => binding(index, `ns-${index}`, `tenant-${index % 500}`),
    ),
  );
  return { domains, bindings, view };
}

Deno.test("A namespace that is bound to a domain that is not there is refused", () => {
  const { bindings, view } = bench();
  bindings.set([binding(1, "ns-1", "gone")]);
  assert.throws(() => view.forPods("ns-1"), { code: "InvalidConfig", message: /"gone"/ });
});

Deno.test("A thousand pods go through domains and bindings once, not once each", () => {
  const { domains, bindings, view } = bench();
  for (let index = 0; index < 1000; index++) {
    assert.equal(view.forPods(`ns-${index}`).vrf, 1000 + index % 500);
    view.pools();
  }
  // Domains for two purposes: which of them can be carried, and what IPAM needs of these.
  assert.deepEqual([domains.lists, bindings.lists], [2, 1]);
});

Deno.test("A namespace that is bound to another domain goes there from then on", () => {
  const { bindings, view } = bench();
  assert.equal(view.forPods("ns-7").name, "tenant-7");
  bindings.set([binding(1, "ns-7", "tenant-8")]);
  assert.equal(view.forPods("ns-7").name, "tenant-8");
});

Deno.test("Domains that come and go are seen at the next look", () => {
  const { domains, view } = bench();
  assert.equal(view.pools().length, 500);
  domains.set([domain(7)]);
  assert.deepEqual(view.pools().map(({ name }) => name), ["tenant-7"]);
  assert.throws(() => view.forPods("ns-8"), { code: "InvalidConfig" });
});
