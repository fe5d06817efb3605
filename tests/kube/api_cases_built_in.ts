/** Cases of Kubernetes' own kinds, as far as the project writes them. */
import assert from "node:assert/strict";
import { type Json, textAt } from "./api_cases_client.ts";
import {
  type ApiCase,
  type CaseWorld,
  createDomain,
  domainPath,
  domainsPath,
  grant,
  leasesPath,
  patchType,
  refuse,
} from "./api_cases_world.ts";

const eventsPath = "/api/v1/namespaces/default/events";

function lease(world: CaseWorld): Json {
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name: world.tag, labels: { case: world.tag } },
    spec: { holderIdentity: "a", leaseDurationSeconds: 15 },
  };
}

function event(world: CaseWorld, involvedObject: Json): Json {
  const metadata = { name: world.tag, labels: { case: world.tag } };
  const said = { reason: "Refused", message: "because", type: "Warning" };
  return { apiVersion: "v1", kind: "Event", metadata, involvedObject, ...said };
}

/** Cases of built-in kinds. */
export const builtInCases: readonly ApiCase[] = [
  {
    name: "An update of a lease must name the version it is based on",
    run: async (world) => {
      const path = `${leasesPath}/${world.tag}`;
      await grant(world, "POST", leasesPath, { body: lease(world) });
      const answer = await refuse(world, [422, "Invalid"], "PUT", path, { body: lease(world) });
      assert.equal(textAt(answer.body, "details.causes.0.field"), "metadata.resourceVersion");
    },
  },
  {
    name: "A lease's times have microseconds, its duration is positive",
    run: async (world) => {
      const path = `${leasesPath}/${world.tag}`;
      await grant(world, "POST", leasesPath, { body: lease(world) });
      const patch = (spec: Json) => ({ body: { spec }, type: patchType.merge });
      for (
        const spec of [
          { renewTime: "2026-01-01T00:00:00Z" },
          { renewTime: "2026-01-01T00:00:00.000Z" },
          { acquireTime: "now" },
          { leaseDurationSeconds: 0 },
          { leaseTransitions: -1 },
        ]
      ) {
        await refuse(world, [422, "Invalid"], "PATCH", path, patch(spec));
      }
      const renewed = { renewTime: "2026-01-01T00:00:00.000000Z", leaseTransitions: 1 };
      await grant(world, "PATCH", path, patch(renewed));
    },
  },
  {
    name: "An event lives beside what it is about, one about an object of the cluster in default",
    run: async (world) => {
      const elsewhere = event(world, { kind: "Pod", name: "a", namespace: "elsewhere" });
      const answer = await refuse(world, [422, "Invalid"], "POST", eventsPath, { body: elsewhere });
      assert.equal(textAt(answer.body, "details.causes.0.field"), "involvedObject.namespace");
      const about = { kind: "VRFDomain", name: world.tag };
      await grant(world, "POST", eventsPath, { body: event(world, about) });
      const found = `${eventsPath}?fieldSelector=involvedObject.name%3D${world.tag}`;
      const { items } = await grant(world, "GET", found);
      assert.ok(Array.isArray(items) && items.length === 1);
      await grant(world, "DELETE", `${eventsPath}/${world.tag}`);
    },
  },
  {
    name: "The default namespace cannot be deleted",
    run: async (world) => {
      await refuse(world, [403, "Forbidden"], "DELETE", "/api/v1/namespaces/default");
    },
  },
  {
    name: "Two conditions of one type are refused",
    run: async (world) => {
      await createDomain(world, "a");
      const condition = {
        type: "Ready",
        status: "True",
        reason: "Applied",
        message: "",
        lastTransitionTime: "2026-01-01T00:00:00Z",
      };
      const body = { status: { conditions: [condition, condition] } };
      const path = `${domainPath(world, "a")}/status`;
      const options = { body, type: patchType.merge };
      const answer = await refuse(world, [422, "Invalid"], "PATCH", path, options);
      assert.equal(textAt(answer.body, "details.causes.0.field"), "status.conditions[1]");
    },
  },
  {
    name: "An object or a list at a version that is yet to come is refused with 504",
    run: async (world) => {
      await createDomain(world, "a");
      for (const path of [domainPath(world, "a"), domainsPath]) {
        const future = `${path}?resourceVersion=99999999`;
        await refuse(world, [504, "Timeout"], "GET", future);
      }
    },
  },
];
