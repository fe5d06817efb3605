/** What the shared cases of the client know of the API that they run on. */
import type { VRFDomain } from "../../resources/vrf_domain.ts";
import { KubeError, type KubeErrorCode } from "../kube_error.ts";
import type { KubeConnection } from "../transport.ts";

/** An API that a case may do harm to. */
export interface ClientCaseApi {
  /** The way to it, as an administrator. */
  readonly connection: KubeConnection;
  /** Its certificate authority in PEM. */
  readonly authority: string;
  /** Bearer token of an administrator. */
  readonly token: string;
  /** Stops the server; its objects stay. */
  stop(): Promise<void>;
  /** Starts it again at the same address. */
  restart(): Promise<void>;
  /** Makes it forget all versions up to the present one; it may restart for that. */
  forgetHistory(): Promise<void>;
  /** Makes a new token of an administrator; those that this made before are refused soon after. It may restart for that. */
  renewToken(): Promise<string>;
}

/** A sentence about behaviour, and how to see that it holds on an API without VRFDomains. */
export interface ClientCase {
  /** The sentence. */
  readonly name: string;
  /** Throws when it does not hold. */
  readonly run: (api: ClientCaseApi) => Promise<void>;
}

/** A VRFDomain. */
export function domain(name: string, vrf: number): VRFDomain {
  return {
    metadata: { name },
    spec: {
      vrf,
      table: vrf + 2000,
      prefix: "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: vrf + 50000, port: 4789 }],
    },
  };
}

/** What a request is refused with. @throws {Error} When it is granted */
export async function refusal(run: Promise<unknown>): Promise<KubeError> {
  try {
    await run;
  } catch (thrown) {
    if (thrown instanceof KubeError) return thrown;
    throw thrown;
  }
  throw new Error("Expected a failure");
}

/** The code of what a request is refused with. @throws {Error} When it is granted */
export async function codeOf(run: Promise<unknown>): Promise<KubeErrorCode> {
  return (await refusal(run)).code;
}
