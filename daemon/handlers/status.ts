import { CniError } from "../../lib/cni/errors.ts";
import type { CniHandlers } from "../server/cni_api.ts";
import type { NodeStatus } from "./deps.ts";

/** Makes the handler of STATUS: code 50 while ADD cannot be served, 51 when running pods suffer as well. */
export function createStatusHandler(status: () => NodeStatus): CniHandlers["status"] {
  return () => {
    const { ready, connected, reasons } = status();
    if (ready && connected) return Promise.resolve();
    return Promise.reject(
      new CniError(
        connected ? "NotAvailable" : "LimitedConnectivity",
        connected
          ? "Expected the node to be ready for pods, found it not ready; see the details"
          : "Expected the node to be ready for pods, found it not ready and running pods with limited connectivity; see the details",
        reasons.length === 0 ? {} : { details: reasons.join("; ") },
      ),
    );
  };
}
