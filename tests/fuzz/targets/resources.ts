/** Objects of the API, as they come from a server that validates nothing. */
import fc from "fast-check";
import { cniConfigProblem } from "../../../daemon/controllers/cni_config_choice.ts";
import { renderConflist } from "../../../daemon/controllers/conflist.ts";
import { apiVersionOf, type ResourceKind } from "../../../daemon/resources/kind.ts";
import { cniConfigKind } from "../../../daemon/resources/cni_config.ts";
import { coreKinds } from "../../../daemon/resources/core.ts";
import { ownKinds } from "../../../daemon/resources/registry.ts";
import { prefixesOf, vrfDomainKind } from "../../../daemon/resources/vrf_domain.ts";
import { exploringSync } from "../explore.ts";
import { changedJson } from "../mutation.ts";
import type { FuzzTarget } from "../target.ts";
import { objectOf } from "../sample_objects.ts";

/** Objects of all kinds. */
export const resourceObjects: FuzzTarget = {
  name: "resource-objects",
  share: 12,
  begin() {
    const inputs = fc.constantFrom(...[...ownKinds, ...coreKinds]).chain((kind) =>
      fc.tuple(fc.constant(kind), changedJson([objectOf(kind)]))
    );
    return Promise.resolve(exploringSync(inputs, ([kind, text]) => look(kind, JSON.parse(text))));
  },
};

function look(kind: ResourceKind, object: unknown): void {
  const parsed = kind.schema.safeParse(object);
  if (!parsed.success) {
    if (parsed.error.issues.length > 0) return;
    throw new Error("Expected the reason of a refusal, found none");
  }
  if (Reflect.get({}, "polluted") !== undefined) {
    throw new Error(`Expected no object but the one of ${apiVersionOf(kind)} to change`);
  }
  const domain = kind === vrfDomainKind ? vrfDomainKind.schema.safeParse(object) : undefined;
  if (domain?.success === true) prefixesOf(domain.data.spec);
  const config = kind === cniConfigKind ? cniConfigKind.schema.safeParse(object) : undefined;
  if (config?.success === true) {
    const { spec } = config.data;
    if (cniConfigProblem(spec, ["pyroute2-cni-plugin", "portmap"]) === undefined) {
      renderConflist(spec);
    }
  }
}
