/** All that the client must do on any Kubernetes API. The embedded one and a kube-apiserver run the same cases. */
import type { ClientCase } from "./case_api.ts";
import { clientCases } from "./client_cases.ts";
import { connectionCases } from "./connection_cases.ts";
import { electionCases } from "./election_cases.ts";
import { refusalCases } from "./refusal_cases.ts";

/** All cases. */
export const allClientCases: readonly ClientCase[] = [
  ...clientCases,
  ...electionCases,
  ...connectionCases,
  ...refusalCases,
];
