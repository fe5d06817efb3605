/** Cases of requests that must be refused, and how. */
import assert from "node:assert/strict";
import { at, isJson, listAt, textAt } from "./api_cases_client.ts";
import {
  type ApiCase,
  type CaseWorld,
  createDomain,
  domain,
  domainPath,
  domainsPath,
  patchType,
  refuse,
} from "./api_cases_world.ts";

async function causes(world: CaseWorld, spec: Record<string, unknown>): Promise<string[]> {
  const body = domain(world, "bad", { spec });
  const answer = await refuse(world, [422, "Invalid"], "POST", domainsPath, { body });
  assert.equal(textAt(answer.body, "details.name"), `${world.tag}-bad`);
  assert.equal(textAt(answer.body, "details.kind"), "VRFDomain");
  // A real server adds that it has not gone on to the rules: a cause of no field.
  return listAt(answer.body, "details.causes").map((cause) => textAt(cause, "field"))
    .filter((field) => field !== "<nil>");
}

/** Cases of refusals. */
export const refusalCases: readonly ApiCase[] = [
  {
    name: "A body that is no JSON is refused with 400",
    run: async (world) => {
      await refuse(world, [400, "BadRequest"], "POST", domainsPath, { body: "{" });
      await refuse(world, [400, "BadRequest"], "POST", domainsPath, { body: "[]" });
    },
  },
  {
    name: "A body of another group is refused with 400, one of another kind with 422",
    run: async (world) => {
      const kind = domain(world, "a", { kind: "IPBlock" });
      const group = domain(world, "a", { apiVersion: "ipam.pyroute2.org/v1alpha1" });
      const other = await refuse(world, [422, "Invalid"], "POST", domainsPath, { body: kind });
      assert.equal(textAt(other.body, "details.causes.0.field"), "kind");
      await refuse(world, [400, "BadRequest"], "POST", domainsPath, { body: group });
    },
  },
  {
    name: "A body of an unknown media type is refused with 415",
    run: async (world) => {
      const options = { body: "a=b", type: "application/x-www-form-urlencoded" };
      await refuse(world, [415, "UnsupportedMediaType"], "POST", domainsPath, options);
    },
  },
  {
    name: "An object without its spec, or with a field of the wrong type, is refused with its path",
    run: async (world) => {
      const { spec: _spec, ...bare } = domain(world, "bad");
      const missing = await refuse(world, [422, "Invalid"], "POST", domainsPath, { body: bare });
      assert.equal(textAt(missing.body, "details.causes.0.field"), "spec");
      assert.deepEqual(await causes(world, { vrf: "200" }), ["spec.vrf"]);
      assert.deepEqual(await causes(world, { attachments: [{ type: "vlan", vni: 1 }] }), [
        "spec.attachments[0].type",
      ]);
      assert.deepEqual(await causes(world, { attachments: [{ type: "l3vni", vni: 0 }] }), [
        "spec.attachments[0].vni",
      ]);
    },
  },
  {
    name: "A name that is no DNS subdomain is refused with 422, a missing one too",
    run: async (world) => {
      for (const name of ["Upper", "a/b", "a b", "-a", "x".repeat(254)]) {
        const body = domain(world, "a", { metadata: { name } });
        const answer = await refuse(world, [422, "Invalid"], "POST", domainsPath, { body });
        assert.equal(textAt(answer.body, "details.causes.0.field"), "metadata.name");
      }
      const body = domain(world, "a", { metadata: { name: "" } });
      await refuse(world, [422, "Invalid"], "POST", domainsPath, { body });
    },
  },
  {
    name: "A label that is no label value is refused with 422",
    run: async (world) => {
      const body = domain(world, "a", { metadata: { labels: { case: "not a value" } } });
      await refuse(world, [422, "Invalid"], "POST", domainsPath, { body });
    },
  },
  {
    name: "An unknown path, kind or object is not found",
    run: async (world) => {
      for (const path of ["/apis/cni.pyroute2.org/v1alpha1/nothing", "/apis/none.example/v1/x"]) {
        assert.equal((await world.api.ask("GET", path)).status, 404);
      }
      const answer = await refuse(world, [404, "NotFound"], "GET", domainPath(world, "none"));
      assert.deepEqual(answer.body["details"], {
        name: `${world.tag}-none`,
        group: "cni.pyroute2.org",
        kind: "vrfdomains",
      });
      await refuse(world, [404, "NotFound"], "DELETE", domainPath(world, "none"));
      await refuse(world, [404, "NotFound"], "PATCH", domainPath(world, "none"), {
        body: {},
        type: patchType.merge,
      });
    },
  },
  {
    name:
      "An unknown selector, limit or continue token is refused with 400, an unknown match with 422",
    run: async (world) => {
      for (
        const query of [
          "labelSelector=a%20b%20c",
          "fieldSelector=spec.nothing%3D1",
          "limit=x",
          "continue=x",
        ]
      ) {
        assert.equal((await world.api.ask("GET", `${domainsPath}?${query}`)).status, 400, query);
      }
      for (
        const query of [
          "resourceVersionMatch=Often&resourceVersion=1",
          "resourceVersionMatch=Exact",
          "resourceVersionMatch=Exact&resourceVersion=0",
          "watch=1&sendInitialEvents=true&resourceVersion=0",
        ]
      ) {
        const answer = await refuse(world, [422, "Invalid"], "GET", `${domainsPath}?${query}`);
        assert.equal(textAt(answer.body, "details.causes.0.field"), "resourceVersionMatch", query);
      }
    },
  },
  {
    name: "A custom resource has no strategic merge patch",
    run: async (world) => {
      await createDomain(world, "a");
      await refuse(
        world,
        [415, "UnsupportedMediaType"],
        "PATCH",
        domainPath(world, "a"),
        { body: {}, type: patchType.strategic },
      );
    },
  },
  {
    name: "A malformed patch is refused with 400, one that does not fit with 422",
    run: async (world) => {
      await createDomain(world, "a");
      const path = domainPath(world, "a");
      const patch = (body: unknown) => ({ body, type: patchType.json });
      await refuse(world, [400, "BadRequest"], "PATCH", path, patch({}));
      const test = [{ op: "test", path: "/spec/vrf", value: 1 }];
      await refuse(world, [422, "Invalid"], "PATCH", path, patch(test));
      const missing = [{ op: "remove", path: "/spec/nothing" }];
      await refuse(world, [422, "Invalid"], "PATCH", path, patch(missing));
    },
  },
  {
    name: "An unknown field is refused, warned of or dropped silently, as the client asks",
    run: async (world) => {
      const body = domain(world, "a", { spec: { colour: "red" } });
      const ask = (validation: string) =>
        world.api.ask("POST", `${domainsPath}?dryRun=All&fieldValidation=${validation}`, { body });
      const strict = await ask("Strict");
      assert.equal(strict.status, 400);
      assert.match(textAt(strict.body, "message"), /unknown field "spec\.colour"/);
      const warned = await ask("Warn");
      assert.equal(warned.status, 201);
      assert.match(warned.warnings, /unknown field \\"spec\.colour\\"/);
      const ignored = await ask("Ignore");
      assert.equal(ignored.warnings, "");
      for (const { body } of [warned, ignored]) {
        assert.ok(isJson(body["spec"]) && at(body, "spec.colour") === undefined);
      }
    },
  },
  {
    name: "A body beyond 3 MiB is refused with 413",
    run: async (world) => {
      const annotations = { big: "x".repeat(3 * 1024 * 1024) };
      const body = domain(world, "a", { metadata: { annotations } });
      const answer = await world.api.ask("POST", domainsPath, { body });
      assert.equal(answer.status, 413);
    },
  },
];
