/** The cases of the operator's lab of three nodes, in order. */
import { apiAwayCases } from "./api_away_cases.ts";
import { comingAndGoingCases } from "./coming_and_going_cases.ts";
import type { LabCase } from "./lab_case.ts";
import { operatorCases } from "./operator_cases.ts";

/** All of them. */
export const operatorLabCases: readonly LabCase[] = [
  ...operatorCases,
  ...comingAndGoingCases,
  ...apiAwayCases,
];
