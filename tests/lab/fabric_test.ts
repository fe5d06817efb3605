/** The lab within an operator's fabric: one lab for all cases, each of which begins where the one before has ended. */
import { backend, labTest } from "./backend_test_case.ts";
import { type Fabric, startFabric } from "./fabric/fabric.ts";
import { guardedPeerCases } from "./fabric/guarded_peer_cases.ts";
import { rackSwitchCases } from "./fabric/rack_switch_cases.ts";
import { meshAgainCase, reflectorCases } from "./fabric/reflector_cases.ts";
import { routeTargetCases } from "./fabric/route_target_cases.ts";

let fabric: Fabric | undefined;

Deno.test.beforeAll(async () => {
  fabric = await startFabric(backend);
});

Deno.test.afterAll(async () => {
  await fabric?.[Symbol.asyncDispose]();
});

/** Sessions with neighbours, which are the host's own and no VRF's. */
const sessionCases = [...rackSwitchCases, ...guardedPeerCases];
const cases = [...reflectorCases, ...routeTargetCases, ...sessionCases, meshAgainCase];
for (const each of cases) {
  labTest(each.name, async () => {
    if (fabric === undefined) throw new Error("The fabric did not start");
    await each.run(fabric);
  }, { anyBackend: sessionCases.includes(each) });
}
