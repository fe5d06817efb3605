/** Cases of lists, selectors, pages, tables and discovery. */
import assert from "node:assert/strict";
import { at, isJson, type Json, listAt, textAt } from "./api_cases_client.ts";
import {
  type ApiCase,
  type CaseWorld,
  createDomain,
  domainPath,
  domainsPath,
  grant,
  leasesPath,
  refuse,
} from "./api_cases_world.ts";

async function names(world: CaseWorld, query: string): Promise<string[]> {
  const list = await grant(world, "GET", `${domainsPath}?${query}`);
  return namesIn(world, list);
}

function namesIn(world: CaseWorld, list: Json): string[] {
  return listAt(list, "items").map((item) =>
    textAt(item, "metadata.name").slice(world.tag.length + 1)
  );
}

async function createLabelled(world: CaseWorld): Promise<void> {
  for (const [name, tier] of [["a", "front"], ["b", "back"], ["c", undefined]] as const) {
    const labels = { case: world.tag, ...(tier === undefined ? {} : { tier }) };
    await createDomain(world, name, { metadata: { name: `${world.tag}-${name}`, labels } });
  }
}

const tableAccept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";

/** Cases of reading. */
export const readCases: readonly ApiCase[] = [
  {
    name: "Label selectors select by equality, inequality, sets and presence",
    run: async (world) => {
      await createLabelled(world);
      const expected: readonly [string, string[]][] = [
        ["", ["a", "b", "c"]],
        [",tier=front", ["a"]],
        [",tier==front", ["a"]],
        [",tier!=front", ["b", "c"]],
        [",tier in (front,back)", ["a", "b"]],
        [",tier notin (front)", ["b", "c"]],
        [",tier", ["a", "b"]],
        [",!tier", ["c"]],
      ];
      for (const [terms, found] of expected) {
        const selector = encodeURIComponent(`case=${world.tag}${terms}`);
        assert.deepEqual(await names(world, `labelSelector=${selector}`), found, terms);
      }
    },
  },
  {
    name: "Field selectors select by name",
    run: async (world) => {
      await createLabelled(world);
      const selector = encodeURIComponent(`metadata.name=${world.tag}-b`);
      assert.deepEqual(await names(world, `fieldSelector=${selector}`), ["b"]);
    },
  },
  {
    name: "A list has a kind and a version, and its custom resources have theirs",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const list = await grant(world, "GET", `${domainsPath}?labelSelector=case%3D${world.tag}`);
      assert.equal(list["kind"], "VRFDomainList");
      assert.equal(at(list, "items.0.kind"), "VRFDomain");
      const version = Number(textAt(list, "metadata.resourceVersion"));
      assert.ok(version >= Number(textAt(made, "metadata.resourceVersion")));
    },
  },
  {
    name: "All pages of a list show the same moment, whatever is written in between",
    run: async (world) => {
      for (const name of ["a", "b", "c", "d", "e"]) await createDomain(world, name);
      const query = `labelSelector=case%3D${world.tag}&limit=2`;
      const first = await grant(world, "GET", `${domainsPath}?${query}`);
      assert.deepEqual(namesIn(world, first), ["a", "b"]);
      await grant(world, "DELETE", domainPath(world, "d"));
      await createDomain(world, "c2");
      const pages = [first];
      let token = textAt(first, "metadata.continue");
      while (token !== "") {
        const next = `${domainsPath}?${query}&continue=${encodeURIComponent(token)}`;
        const page = await grant(world, "GET", next);
        pages.push(page);
        const more = at(page, "metadata.continue");
        token = typeof more === "string" ? more : "";
      }
      assert.deepEqual(pages.map((page) => namesIn(world, page)), [["a", "b"], ["c", "d"], ["e"]]);
      const versions = new Set(pages.map((page) => textAt(page, "metadata.resourceVersion")));
      assert.equal(versions.size, 1);
      const now = await names(world, `labelSelector=case%3D${world.tag}`);
      assert.deepEqual(now, ["a", "b", "c", "c2", "e"]);
    },
  },
  {
    name: "A list at an exact earlier version shows that moment",
    run: async (world) => {
      await createDomain(world, "a");
      const list = await grant(world, "GET", `${domainsPath}?labelSelector=case%3D${world.tag}`);
      await createDomain(world, "b");
      const version = textAt(list, "metadata.resourceVersion");
      const query = `labelSelector=case%3D${world.tag}&resourceVersion=${version}`;
      assert.deepEqual(await names(world, `${query}&resourceVersionMatch=Exact`), ["a"]);
      assert.deepEqual(await names(world, `${query}&resourceVersionMatch=NotOlderThan`), [
        "a",
        "b",
      ]);
    },
  },
  {
    name: "A page or list of a forgotten version is refused with 410 Expired",
    run: async (world) => {
      const version = await world.expiredVersion();
      const path = `${domainsPath}?resourceVersion=${version}&resourceVersionMatch=Exact`;
      await refuse(world, [410, "Expired"], "GET", path);
    },
  },
  {
    name: "A table has the kind's columns, a row an object, and the age last",
    run: async (world) => {
      await createDomain(world, "a");
      const path = `${domainsPath}?labelSelector=case%3D${world.tag}`;
      const table = await grant(world, "GET", path, { accept: tableAccept });
      assert.equal(table["kind"], "Table");
      const columns = listAt(table, "columnDefinitions").map((column) => textAt(column, "name"));
      assert.deepEqual(columns, [
        "Name",
        "VRF",
        "Table",
        "Prefix",
        "PrefixLen",
        "IPBlockLen",
        "Prefix6",
        "Ready",
        "Age",
      ]);
      const cells = listAt(table, "rows.0.cells");
      assert.deepEqual(cells.slice(0, 6), [`${world.tag}-a`, 200, 2200, "10.150.0.0", 16, 26]);
      assert.match(String(cells.at(-1)), /^\d+s$/);
      assert.equal(at(table, "rows.0.object.kind"), "PartialObjectMetadata");
      assert.equal(textAt(table, "rows.0.object.metadata.name"), `${world.tag}-a`);
      const one = await grant(world, "GET", domainPath(world, "a"), { accept: tableAccept });
      assert.equal(listAt(one, "rows").length, 1);
    },
  },
  {
    name: "Objects of a namespace are listed in it and over all namespaces",
    run: async (world) => {
      const body = {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { name: world.tag, labels: { case: world.tag } },
      };
      const made = await grant(world, "POST", leasesPath, { body });
      assert.equal(textAt(made, "metadata.namespace"), "default");
      const everywhere = "/apis/coordination.k8s.io/v1/leases";
      for (const path of [leasesPath, everywhere]) {
        const list = await grant(world, "GET", `${path}?labelSelector=case%3D${world.tag}`);
        assert.equal(listAt(list, "items").length, 1);
      }
      const elsewhere = "/apis/coordination.k8s.io/v1/namespaces/elsewhere/leases";
      assert.deepEqual(listAt(await grant(world, "GET", elsewhere), "items"), []);
      await refuse(world, [404, "NotFound"], "GET", `${elsewhere}/${world.tag}`);
      const wrong = { ...body, metadata: { ...body.metadata, namespace: "elsewhere" } };
      await refuse(world, [400, "BadRequest"], "POST", leasesPath, { body: wrong });
    },
  },
  {
    name: "Discovery names kinds, short names, verbs and the status subresource",
    run: async (world) => {
      const list = await grant(world, "GET", "/apis/cni.pyroute2.org/v1alpha1");
      const resources = listAt(list, "resources");
      const find = (name: string) => resources.find((entry) => at(entry, "name") === name);
      assert.deepEqual(at(find("vrfdomains"), "shortNames"), ["vrd"]);
      assert.equal(at(find("vrfdomains"), "namespaced"), false);
      assert.ok(listAt(find("vrfdomains"), "verbs").includes("watch"));
      assert.ok(isJson(find("vrfdomains/status")));
      const groups = await grant(world, "GET", "/apis");
      const groupNames = listAt(groups, "groups").map((entry) => at(entry, "name"));
      assert.ok(groupNames.includes("ipam.pyroute2.org"));
      assert.deepEqual(at(await grant(world, "GET", "/api"), "versions"), ["v1"]);
    },
  },
  {
    name: "Aggregated discovery tells the same in one answer",
    run: async (world) => {
      const accept =
        "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
      const all = await grant(world, "GET", "/apis", { accept });
      assert.equal(all["kind"], "APIGroupDiscoveryList");
      const group = listAt(all, "items").find((item) =>
        at(item, "metadata.name") === "cni.pyroute2.org"
      );
      const resource = listAt(group, "versions.0.resources").find((entry) =>
        at(entry, "resource") === "vrfdomains"
      );
      assert.deepEqual(at(resource, "shortNames"), ["vrd"]);
      assert.equal(at(resource, "subresources.0.subresource"), "status");
    },
  },
];
