/** Cases of watches. */
import assert from "node:assert/strict";
import { at, isJson, type Json, type OpenWatch, textAt } from "./api_cases_client.ts";
import {
  type ApiCase,
  type CaseWorld,
  createDomain,
  domainPath,
  domainsPath,
  grant,
  patchType,
} from "./api_cases_world.ts";

async function event(world: CaseWorld, watch: OpenWatch): Promise<[unknown, string]> {
  const next = await watch.next();
  const name = at(next, "object.metadata.name");
  return [
    at(next, "type"),
    typeof name === "string" ? name.slice(world.tag.length + 1) : JSON.stringify(next),
  ];
}

async function label(world: CaseWorld, name: string, labels: Json): Promise<Json> {
  return await grant(world, "PATCH", domainPath(world, name), {
    body: { metadata: { labels } },
    type: patchType.merge,
  });
}

function watchPath(world: CaseWorld, query: string): string {
  return `${domainsPath}?watch=true&labelSelector=case%3D${world.tag}${query}`;
}

async function presentVersion(world: CaseWorld): Promise<string> {
  return textAt(await grant(world, "GET", `${domainsPath}?limit=1`), "metadata.resourceVersion");
}

/** Cases of watches. */
export const watchCases: readonly ApiCase[] = [
  {
    name: "A watch from a version tells each later change once, in order",
    run: async (world) => {
      await createDomain(world, "before");
      const version = await presentVersion(world);
      await createDomain(world, "a");
      await using watch = await world.api.watch(watchPath(world, `&resourceVersion=${version}`));
      assert.deepEqual(await event(world, watch), ["ADDED", "a"]);
      await label(world, "a", { more: "1" });
      assert.deepEqual(await event(world, watch), ["MODIFIED", "a"]);
      await grant(world, "DELETE", domainPath(world, "a"));
      assert.deepEqual(await event(world, watch), ["DELETED", "a"]);
      await createDomain(world, "b");
      assert.deepEqual(await event(world, watch), ["ADDED", "b"]);
    },
  },
  {
    name: "A watch from version 0, or from none, begins with what is there",
    run: async (world) => {
      for (const name of ["a", "b"]) await createDomain(world, name);
      for (const query of ["&resourceVersion=0", ""]) {
        await using watch = await world.api.watch(watchPath(world, query));
        const found = [await event(world, watch), await event(world, watch)];
        assert.deepEqual(found.toSorted(), [["ADDED", "a"], ["ADDED", "b"]]);
      }
    },
  },
  {
    name: "A watch can be resumed at the version of its last event",
    run: async (world) => {
      const version = await presentVersion(world);
      await createDomain(world, "a");
      let last: string;
      {
        await using watch = await world.api.watch(watchPath(world, `&resourceVersion=${version}`));
        last = textAt(await watch.next(), "object.metadata.resourceVersion");
      }
      await createDomain(world, "b");
      await using resumed = await world.api.watch(watchPath(world, `&resourceVersion=${last}`));
      assert.deepEqual(await event(world, resumed), ["ADDED", "b"]);
    },
  },
  {
    name: "An object that leaves a watch's selection is deleted for it, one that joins is added",
    run: async (world) => {
      await createDomain(world, "a");
      const version = await presentVersion(world);
      await using watch = await world.api.watch(
        watchPath(world, `%2Ctier%3Dfront&resourceVersion=${version}`),
      );
      await label(world, "a", { tier: "front" });
      assert.deepEqual(await event(world, watch), ["ADDED", "a"]);
      await label(world, "a", { tier: "back" });
      const left = await watch.next();
      assert.equal(at(left, "type"), "DELETED");
      assert.equal(at(left, "object.metadata.labels.tier"), "front");
    },
  },
  {
    name: "A watch by name tells of that object alone",
    run: async (world) => {
      const version = await presentVersion(world);
      const field = encodeURIComponent(`metadata.name=${world.tag}-b`);
      await using watch = await world.api.watch(
        `${domainsPath}?watch=true&fieldSelector=${field}&resourceVersion=${version}`,
      );
      await createDomain(world, "a");
      await createDomain(world, "b");
      assert.deepEqual(await event(world, watch), ["ADDED", "b"]);
    },
  },
  {
    name: "An object held by a finalizer is modified first and deleted last",
    run: async (world) => {
      const version = await presentVersion(world);
      await createDomain(world, "a", {
        metadata: {
          name: `${world.tag}-a`,
          labels: { case: world.tag },
          finalizers: ["example.org/x"],
        },
      });
      await using watch = await world.api.watch(watchPath(world, `&resourceVersion=${version}`));
      assert.deepEqual(await event(world, watch), ["ADDED", "a"]);
      await grant(world, "DELETE", domainPath(world, "a"));
      const marked = await watch.next();
      assert.equal(at(marked, "type"), "MODIFIED");
      assert.match(textAt(marked, "object.metadata.deletionTimestamp"), /Z$/);
      await grant(world, "PATCH", domainPath(world, "a"), {
        body: { metadata: { finalizers: null } },
        type: patchType.merge,
      });
      assert.deepEqual(await event(world, watch), ["DELETED", "a"]);
    },
  },
  {
    name: "A watch from a forgotten version ends with an event of 410",
    run: async (world) => {
      const version = await world.expiredVersion();
      await using watch = await world.api.watch(watchPath(world, `&resourceVersion=${version}`));
      const error = await watch.next();
      assert.equal(at(error, "type"), "ERROR");
      assert.equal(at(error, "object.kind"), "Status");
      assert.equal(at(error, "object.code"), 410);
      assert.equal(await watch.next(), undefined);
    },
  },
  {
    name: "A watch that asks for initial events gets a bookmark behind them",
    needsWatchProgress: true,
    run: async (world) => {
      for (const name of ["a", "b"]) await createDomain(world, name);
      await using watch = await world.api.watch(watchPath(
        world,
        "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
      ));
      const found = [await event(world, watch), await event(world, watch)];
      assert.deepEqual(found.toSorted(), [["ADDED", "a"], ["ADDED", "b"]]);
      const bookmark = await watch.next();
      assert.equal(at(bookmark, "type"), "BOOKMARK");
      const annotations = at(bookmark, "object.metadata.annotations");
      // A kube-apiserver may add others.
      assert.ok(isJson(annotations));
      assert.equal(annotations["k8s.io/initial-events-end"], "true");
      assert.match(textAt(bookmark, "object.metadata.resourceVersion"), /^\d+$/);
    },
  },
  {
    name: "A watch ends at its timeout",
    run: async (world) => {
      const version = await presentVersion(world);
      await using watch = await world.api.watch(
        watchPath(world, `&resourceVersion=${version}&timeoutSeconds=1`),
      );
      assert.equal(await watch.next(), undefined);
    },
  },
  {
    name: "A watch of tables tells a table an event",
    run: async (world) => {
      const version = await presentVersion(world);
      await using watch = await world.api.watch(
        watchPath(world, `&resourceVersion=${version}`),
        "application/json;as=Table;v=v1;g=meta.k8s.io",
      );
      await createDomain(world, "a");
      const added = await watch.next();
      assert.equal(at(added, "object.kind"), "Table");
      assert.equal(at(added, "object.rows.0.cells.0"), `${world.tag}-a`);
    },
  },
];
