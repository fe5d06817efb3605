/** How long the labs wait for something to come true. */

/** Whether every instruction of this machine is emulated, which makes all of it many times slower. */
export const emulated = Deno.env.get("PYROUTE2_LAB_EMULATED") === "1";

/** How often a lab's daemons do their periodic jobs: where every instruction is emulated as seldom as installed ones, which leaves time for the rest. */
export function jobsWhere(isEmulated: boolean): { readonly jobSeconds?: number } {
  return isEmulated ? { jobSeconds: 30 } : {};
}

/** The same for the tests. */
export const jobs = jobsWhere(emulated);

/** Seconds within which BGP converges and nodes heal. */
export const patience = emulated ? 400 : 120;

/**
 * Datagrams, one each ten milliseconds, that may be lost by one fault of FRR's or of its peers: the daemon needs a moment to put back what FRR
 * takes away (docs/decisions/0010), on a slow machine a longer one.
 */
export const lostAtMost = emulated ? 200 : 20;
