/** Cases of creating, updating and deleting. */
import assert from "node:assert/strict";
import { at, isJson, type Json, listAt, textAt } from "./api_cases_client.ts";
import {
  type ApiCase,
  type CaseWorld,
  createDomain,
  domain,
  domainPath,
  domainsPath,
  grant,
  leasesPath,
  patchType,
  refuse,
} from "./api_cases_world.ts";

function changed(object: Json, part: "metadata" | "spec" | "status", change: Json): Json {
  const before = object[part];
  return { ...object, [part]: { ...(isJson(before) ? before : {}), ...change } };
}

async function merge(world: CaseWorld, name: string, body: unknown, sub = ""): Promise<Json> {
  const path = `${domainPath(world, name)}${sub}`;
  return await grant(world, "PATCH", path, { body, type: patchType.merge });
}

/** Cases of objects. */
export const objectCases: readonly ApiCase[] = [
  {
    name: "A created object has a UID, a version, generation 1 and its defaults, and can be read",
    run: async (world) => {
      const made = await createDomain(world, "a", { status: { nodes: { ready: 1, total: 1 } } });
      assert.match(textAt(made, "metadata.uid"), /^[0-9a-f-]{36}$/);
      assert.match(textAt(made, "metadata.resourceVersion"), /^\d+$/);
      assert.match(textAt(made, "metadata.creationTimestamp"), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      assert.equal(at(made, "metadata.generation"), 1);
      assert.equal(at(made, "spec.attachments.0.port"), 4789);
      assert.equal(made["status"], undefined, "a status is set by its own endpoint alone");
      const read = await grant(world, "GET", domainPath(world, "a"));
      assert.deepEqual(read["spec"], made["spec"]);
      assert.equal(textAt(read, "metadata.uid"), textAt(made, "metadata.uid"));
    },
  },
  {
    name: "A name that is taken is refused with 409 AlreadyExists",
    run: async (world) => {
      await createDomain(world, "a");
      const body = domain(world, "a");
      await refuse(world, [409, "AlreadyExists"], "POST", domainsPath, { body });
    },
  },
  {
    name: "A name is generated from a prefix",
    run: async (world) => {
      const { name: _name, ...metadata } = {
        name: "",
        generateName: `${world.tag}-`,
        labels: { case: world.tag },
      };
      const body = { ...domain(world, "a"), metadata };
      const made = await grant(world, "POST", domainsPath, { body });
      assert.match(textAt(made, "metadata.name"), new RegExp(`^${world.tag}-[a-z0-9]{5}$`));
    },
  },
  {
    name:
      "An update of a stale version is refused with 409 Conflict, one without a version with 422",
    run: async (world) => {
      const made = await createDomain(world, "a");
      await merge(world, "a", { metadata: { labels: { more: "1" } } });
      const path = domainPath(world, "a");
      await refuse(world, [409, "Conflict"], "PUT", path, { body: made });
      const bare = domain(world, "a");
      const answer = await refuse(world, [422, "Invalid"], "PUT", path, { body: bare });
      assert.equal(textAt(answer.body, "details.causes.0.field"), "metadata.resourceVersion");
    },
  },
  {
    name: "An update by another UID, or under another name, is refused",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const path = domainPath(world, "a");
      const uid = changed(made, "metadata", { uid: crypto.randomUUID() });
      assert.ok([409, 422].includes((await world.api.ask("PUT", path, { body: uid })).status));
      const name = changed(made, "metadata", { name: `${world.tag}-b` });
      await refuse(world, [400, "BadRequest"], "PUT", path, { body: name });
    },
  },
  {
    name: "Only a change of the spec raises the generation",
    run: async (world) => {
      await createDomain(world, "a");
      const labelled = await merge(world, "a", { metadata: { labels: { more: "1" } } });
      assert.equal(at(labelled, "metadata.generation"), 1);
      const status = { status: { nodes: { ready: 1, total: 2 } } };
      const reported = await merge(world, "a", status, "/status");
      assert.equal(at(reported, "metadata.generation"), 1);
      const specified = await merge(world, "a", { spec: { attachments: [] } });
      assert.equal(at(specified, "metadata.generation"), 2);
    },
  },
  {
    name: "Writing the same again keeps the version",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const again = await grant(world, "PUT", domainPath(world, "a"), { body: made });
      const patched = await merge(world, "a", { spec: { vrf: 200 } });
      for (const object of [again, patched]) {
        assert.equal(
          textAt(object, "metadata.resourceVersion"),
          textAt(made, "metadata.resourceVersion"),
        );
      }
    },
  },
  {
    name: "The object's endpoint changes no status, the status endpoint changes nothing else",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const path = domainPath(world, "a");
      const both = changed(changed(made, "spec", { attachments: [] }), "status", {
        nodes: { ready: 1, total: 2 },
      });
      const updated = await grant(world, "PUT", path, { body: both });
      assert.deepEqual(at(updated, "spec.attachments"), []);
      assert.equal(updated["status"], undefined);
      const report = changed(
        changed(changed(updated, "spec", { attachments: [{ type: "l2vni", vni: 7 }] }), "status", {
          nodes: { ready: 1, total: 2 },
        }),
        "metadata",
        { labels: { case: "other" } },
      );
      const reported = await grant(world, "PUT", `${path}/status`, { body: report });
      assert.deepEqual(reported["status"], { nodes: { ready: 1, total: 2 } });
      assert.deepEqual(at(reported, "spec.attachments"), []);
      assert.equal(at(reported, "metadata.labels.case"), world.tag);
      const read = await grant(world, "GET", `${path}/status`);
      assert.deepEqual(read["status"], reported["status"]);
    },
  },
  {
    name: "A status of the wrong form is refused with its path",
    run: async (world) => {
      await createDomain(world, "a");
      const answer = await refuse(
        world,
        [422, "Invalid"],
        "PATCH",
        `${domainPath(world, "a")}/status`,
        { body: { status: { nodes: { ready: "one", total: 1 } } }, type: patchType.merge },
      );
      assert.equal(textAt(answer.body, "details.causes.0.field"), "status.nodes.ready");
    },
  },
  {
    name: "A finalizer holds a deleted object until it is removed, and no other may join it",
    run: async (world) => {
      const finalizer = "cni.pyroute2.org/nodes";
      await createDomain(world, "a", {
        metadata: { finalizers: [finalizer], labels: { case: world.tag }, name: `${world.tag}-a` },
      });
      const path = domainPath(world, "a");
      const marked = await grant(world, "DELETE", path);
      assert.equal(marked["kind"], "VRFDomain");
      assert.match(textAt(marked, "metadata.deletionTimestamp"), /Z$/);
      assert.equal(at(marked, "metadata.generation"), 2);
      const again = await grant(world, "DELETE", path);
      assert.equal(
        textAt(again, "metadata.deletionTimestamp"),
        textAt(marked, "metadata.deletionTimestamp"),
      );
      const more = { metadata: { finalizers: [finalizer, "cni.pyroute2.org/more"] } };
      await refuse(world, [422, "Invalid"], "PATCH", path, { body: more, type: patchType.merge });
      await merge(world, "a", { status: { nodes: { ready: 0, total: 1 } } }, "/status");
      await merge(world, "a", { metadata: { finalizers: [] } });
      await refuse(world, [404, "NotFound"], "GET", path);
    },
  },
  {
    name: "Metadata that only the server sets stays as it is",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const patched = await merge(world, "a", {
        metadata: {
          generation: 9,
          creationTimestamp: "2000-01-01T00:00:00Z",
          labels: { more: "1" },
        },
      });
      assert.equal(at(patched, "metadata.generation"), 1);
      assert.equal(
        textAt(patched, "metadata.creationTimestamp"),
        textAt(made, "metadata.creationTimestamp"),
      );
    },
  },
  {
    name: "A deletion tells the UID of what it deleted, and a new object of the name has another",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const answer = await grant(world, "DELETE", domainPath(world, "a"), {
        body: { kind: "DeleteOptions", apiVersion: "v1", propagationPolicy: "Background" },
      });
      assert.equal(answer["status"], "Success");
      assert.equal(textAt(answer, "details.uid"), textAt(made, "metadata.uid"));
      const next = await createDomain(world, "a");
      assert.notEqual(textAt(next, "metadata.uid"), textAt(made, "metadata.uid"));
    },
  },
  {
    name: "A deletion with preconditions that do not hold is refused with 409",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const path = domainPath(world, "a");
      const version = { preconditions: { resourceVersion: "1" } };
      const uid = { preconditions: { uid: crypto.randomUUID() } };
      await refuse(world, [409, "Conflict"], "DELETE", path, { body: uid });
      await refuse(world, [409, "Conflict"], "DELETE", path, { body: version });
      await grant(world, "DELETE", path, {
        body: { preconditions: { uid: textAt(made, "metadata.uid") } },
      });
    },
  },
  {
    name: "A dry run answers as if it were done, and does nothing",
    run: async (world) => {
      await grant(world, "POST", `${domainsPath}?dryRun=All`, { body: domain(world, "a") });
      await refuse(world, [404, "NotFound"], "GET", domainPath(world, "a"));
      const made = await createDomain(world, "a");
      const path = domainPath(world, "a");
      const patched = await grant(world, "PATCH", `${path}?dryRun=All`, {
        body: { spec: { attachments: [] } },
        type: patchType.merge,
      });
      assert.deepEqual(at(patched, "spec.attachments"), []);
      await grant(world, "DELETE", `${path}?dryRun=All`);
      const read = await grant(world, "GET", path);
      assert.equal(
        textAt(read, "metadata.resourceVersion"),
        textAt(made, "metadata.resourceVersion"),
      );
    },
  },
  {
    name: "A collection is deleted by selector, and what has a finalizer is marked",
    run: async (world) => {
      await createDomain(world, "a");
      await createDomain(world, "b", {
        metadata: {
          name: `${world.tag}-b`,
          labels: { case: world.tag },
          finalizers: ["example.org/x"],
        },
      });
      await createDomain(world, "c", {
        metadata: { name: `${world.tag}-c`, labels: { case: `${world.tag}-other` } },
      });
      await grant(world, "DELETE", `${domainsPath}?labelSelector=case%3D${world.tag}`);
      await refuse(world, [404, "NotFound"], "GET", domainPath(world, "a"));
      const held = await grant(world, "GET", domainPath(world, "b"));
      assert.match(textAt(held, "metadata.deletionTimestamp"), /Z$/);
      await grant(world, "DELETE", domainPath(world, "c"));
    },
  },
  {
    name: "Of two holders who update a lease from the same version, one gets 409",
    run: async (world) => {
      const body = {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { name: world.tag, namespace: "default", labels: { case: world.tag } },
        spec: {
          holderIdentity: "a",
          leaseDurationSeconds: 15,
          renewTime: "2026-01-01T00:00:00.000000Z",
        },
      };
      const made = await grant(world, "POST", leasesPath, { body });
      const path = `${leasesPath}/${world.tag}`;
      const answers = await Promise.all(
        ["b", "c"].map((holderIdentity) =>
          world.api.ask("PUT", path, { body: changed(made, "spec", { holderIdentity }) })
        ),
      );
      assert.deepEqual(answers.map(({ status }) => status).toSorted(), [200, 409]);
      const list = await grant(
        world,
        "GET",
        `${leasesPath}?fieldSelector=metadata.name%3D${world.tag}`,
      );
      assert.equal(listAt(list, "items").length, 1);
    },
  },
];
