/** How the nodes of a cluster take turns at what all of them do at the same moment, so that the API sees no herd. Pure but for chance. */

/** What turns are made of. */
export interface TurnsOptions {
  /** How many nodes there are, as far as is known; 0 before the first list. */
  readonly nodes: () => number;
  /** How many nodes a second have their turn, on average. */
  readonly perSecond?: number;
  /** Source of numbers from 0 to 1. */
  readonly random?: () => number;
}

/** Nodes a second, unless told otherwise: few for an API server, and no wait to speak of in a small cluster. */
const nodesPerSecond = 100;

/**
 * Makes a node's turns. Each call gives the milliseconds to wait before something that all nodes do at the same moment: at random, up to
 * as long as the cluster needs at so many nodes a second. So the load does not grow with the cluster; the wait does, from 20 ms with two
 * nodes to 50 s with five thousand.
 */
export function createTurns(options: TurnsOptions): () => number {
  const { nodes, perSecond = nodesPerSecond, random = Math.random } = options;
  return () => random() * nodes() / perSecond * 1000;
}
