/**
 * What any Kubernetes API must do for this project. The embedded API and a kube-apiserver with the project's CRDs run the same
 * cases, so that the small one cannot drift from the real one.
 */
import { builtInCases } from "./api_cases_built_in.ts";
import { objectCases } from "./api_cases_objects.ts";
import { patchCases } from "./api_cases_patch.ts";
import { readCases } from "./api_cases_read.ts";
import { refusalCases } from "./api_cases_refusals.ts";
import { ruleCases } from "./api_cases_rules.ts";
import type { ApiCase } from "./api_cases_world.ts";
import { watchCases } from "./api_cases_watch.ts";

/** All cases. */
export const apiCases: readonly ApiCase[] = [
  ...refusalCases,
  ...objectCases,
  ...patchCases,
  ...readCases,
  ...builtInCases,
  ...watchCases,
  ...ruleCases,
];
