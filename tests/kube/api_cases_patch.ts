/** Cases of patches. */
import assert from "node:assert/strict";
import { at, type Json, listAt, textAt } from "./api_cases_client.ts";
import {
  type ApiCase,
  type CaseWorld,
  createDomain,
  domain,
  domainPath,
  grant,
  patchType,
  refuse,
} from "./api_cases_world.ts";

function applied(world: CaseWorld, spec: Json, labels: Json = {}): Json {
  const { apiVersion, kind } = domain(world, "a");
  return {
    apiVersion,
    kind,
    metadata: { name: `${world.tag}-a`, labels: { case: world.tag, ...labels } },
    spec,
  };
}

async function apply(world: CaseWorld, manager: string, body: Json): Promise<Json> {
  const path = `${domainPath(world, "a")}?fieldManager=${manager}`;
  return await grant(world, "PATCH", path, { body, type: patchType.apply });
}

const fullSpec: Json = {
  vrf: 200,
  table: 2200,
  prefix: "10.150.0.0",
  prefixlen: 16,
  ipblocklen: 26,
  attachments: [],
};

const overlay: Json = { type: "l2vni", vni: 7, port: 4789 };

/** Cases of patches. */
export const patchCases: readonly ApiCase[] = [
  {
    name: "A merge patch sets, replaces lists as a whole, and removes by null",
    run: async (world) => {
      await createDomain(world, "a");
      const body = {
        metadata: { annotations: { "example.org/a": "1" }, labels: { gone: null } },
        spec: { attachments: [{ type: "l2vni", vni: 7, port: 4790 }] },
      };
      const patched = await grant(world, "PATCH", domainPath(world, "a"), {
        body,
        type: patchType.merge,
      });
      assert.deepEqual(at(patched, "spec.attachments"), [{ type: "l2vni", vni: 7, port: 4790 }]);
      assert.deepEqual(at(patched, "metadata.annotations"), { "example.org/a": "1" });
      const removed = await grant(world, "PATCH", domainPath(world, "a"), {
        body: { metadata: { annotations: { "example.org/a": null } } },
        type: patchType.merge,
      });
      assert.equal(at(removed, "metadata.annotations"), undefined);
    },
  },
  {
    name: "A JSON patch tests, adds to lists and removes",
    run: async (world) => {
      await createDomain(world, "a");
      const body = [
        { op: "test", path: "/spec/vrf", value: 200 },
        { op: "add", path: "/spec/attachments/-", value: { type: "l2vni", vni: 7 } },
        { op: "add", path: "/metadata/annotations", value: { "example.org/a~b": "1" } },
        { op: "replace", path: "/spec/attachments/1/vni", value: 8 },
        { op: "remove", path: "/metadata/annotations/example.org~1a~0b" },
        { op: "remove", path: "/spec/attachments/0" },
      ];
      const path = domainPath(world, "a");
      // The annotation's key is no valid one, but it never reaches validation.
      const patched = await grant(world, "PATCH", path, { body, type: patchType.json });
      assert.deepEqual(at(patched, "spec.attachments"), [{ type: "l2vni", vni: 8, port: 4789 }]);
      assert.equal(at(patched, "metadata.generation"), 2);
    },
  },
  {
    name: "A patch that names a stale version is refused with 409",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const path = domainPath(world, "a");
      const patch = (vni: number) => ({
        body: {
          metadata: { resourceVersion: textAt(made, "metadata.resourceVersion") },
          spec: { attachments: [{ type: "l2vni", vni }] },
        },
        type: patchType.merge,
      });
      await grant(world, "PATCH", path, patch(7));
      await refuse(world, [409, "Conflict"], "PATCH", path, patch(8));
    },
  },
  {
    name: "A patch that makes an object invalid is refused and changes nothing",
    run: async (world) => {
      const made = await createDomain(world, "a");
      const path = domainPath(world, "a");
      const options = { body: { spec: { vrf: 0 } }, type: patchType.merge };
      await refuse(world, [422, "Invalid"], "PATCH", path, options);
      const read = await grant(world, "GET", path);
      assert.deepEqual(read["spec"], made["spec"]);
    },
  },
  {
    name: "Conditions are written through the status endpoint by a merge patch",
    run: async (world) => {
      await createDomain(world, "a");
      const condition = {
        type: "Ready",
        status: "True",
        observedGeneration: 1,
        reason: "Applied",
        message: "",
        lastTransitionTime: "2026-01-01T00:00:00Z",
      };
      const patched = await grant(world, "PATCH", `${domainPath(world, "a")}/status`, {
        body: { status: { conditions: [condition] } },
        type: patchType.merge,
      });
      assert.deepEqual(listAt(patched, "status.conditions"), [condition]);
    },
  },
  {
    name: "A server-side apply creates, and the next one removes what it no longer names",
    run: async (world) => {
      const path = `${domainPath(world, "a")}?fieldManager=one`;
      const body = applied(world, fullSpec, { first: "1" });
      const answer = await world.api.ask("PATCH", path, { body, type: patchType.apply });
      assert.equal(answer.status, 201);
      assert.equal(textAt(answer.body, "metadata.managedFields.0.manager"), "one");
      const next = await apply(
        world,
        "one",
        applied(world, { ...fullSpec, attachments: [overlay] }),
      );
      assert.equal(at(next, "metadata.labels.first"), undefined);
      assert.deepEqual(at(next, "spec.attachments"), [overlay]);
      assert.equal(at(next, "metadata.generation"), 2);
    },
  },
  {
    name:
      "A server-side apply of another manager's field needs force, and keeps what it does not name",
    run: async (world) => {
      await apply(world, "one", applied(world, fullSpec));
      await apply(world, "two", applied(world, {}, { second: "2" }));
      const path = `${domainPath(world, "a")}?fieldManager=two`;
      const body = applied(world, { attachments: [overlay] }, { second: "2" });
      const options = { body, type: patchType.apply };
      const answer = await refuse(world, [409, "Conflict"], "PATCH", path, options);
      assert.equal(textAt(answer.body, "details.causes.0.reason"), "FieldManagerConflict");
      assert.equal(textAt(answer.body, "details.causes.0.field"), ".spec.attachments");
      const forced = await grant(world, "PATCH", `${path}&force=true`, options);
      assert.deepEqual(at(forced, "spec.attachments"), [overlay]);
      assert.equal(at(forced, "spec.vrf"), 200);
      assert.equal(at(forced, "metadata.labels.second"), "2");
    },
  },
  {
    name: "A server-side apply without a manager is refused",
    run: async (world) => {
      const body = applied(world, fullSpec);
      const path = domainPath(world, "a");
      const { status } = await world.api.ask("PATCH", path, { body, type: patchType.apply });
      // A kube-apiserver calls it invalid options.
      assert.ok(status === 400 || status === 422);
    },
  },
];
