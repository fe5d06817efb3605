import { CodedError } from "../../lib/errors.ts";
import { type NftGeneration, readNftGeneration } from "../../lib/netlink/netfilter/generation.ts";
import { firewallTable, type NftContent, type NftTransaction } from "./nft_json.ts";
import {
  readStanding,
  removal,
  replacing,
  stepsTo,
  type TableLeft,
  type TableSteps,
} from "./nft_transactions.ts";

/** nft refused a transaction or could not be run; nothing that a packet meets was changed. */
export class NftError extends CodedError {
  /**
   * Makes the error.
   *
   * @param message What was asked of nft and its own words
   * @param options The underlying failure, if any
   */
  constructor(message: string, options?: ErrorOptions) {
    super("NftFailed", message, options);
  }
}

/** Keeps the project's nftables table in one network namespace as it shall be. */
export interface NftTable {
  /**
   * Makes the table hold the content, unless it still stands as it was left with it; a change by hand is replaced.
   *
   * @throws {NftError} When nft refuses; packets then meet the rules as before, or as the content says
   * @throws {SysError | NetlinkError} When the namespace cannot be looked into
   */
  sync(content: NftContent, signal: AbortSignal): Promise<{ readonly changed: boolean }>;
  /** Whether the table is there. @throws {NftError} When nft cannot be run */
  stands(signal: AbortSignal): Promise<boolean>;
  /** Removes the table. @throws {NftError} */
  remove(signal: AbortSignal): Promise<void>;
}

/** Where a table is. */
export interface NftTableOptions {
  /** Path of the network namespace; the caller's own by default. */
  readonly namespace?: string;
  /**
   * Whether others, such as kube-proxy, change the namespace's ruleset as well: then the table is listed to see whether it is as it was left. Else
   * the ruleset's generation tells, which starts no program; such a table has no sets, and is made anew as a whole.
   */
  readonly shared: boolean;
}

/** What stands, as far as is known. */
interface Applied {
  readonly text: string;
  readonly listing: string | undefined;
  readonly left: TableLeft | undefined;
  generation: NftGeneration;
}

/** What is seen before a change. */
interface Seen {
  readonly listing: string | undefined;
  readonly isAsLeft: boolean;
}

/** Makes a table's keeper, which works by the program nft. */
export function createNftTable({ namespace, shared }: NftTableOptions): NftTable {
  const command = namespace === undefined ? ["nft"] : ["nsenter", `--net=${namespace}`, "nft"];
  let applied: Applied | undefined;
  const list = async (signal: AbortSignal) => {
    const result = await run(command, ["-j", "list", "table", "inet", firewallTable], "", signal);
    return result.success ? withoutHandles(result.stdout) : undefined;
  };
  const commit = async (transaction: NftTransaction, signal: AbortSignal) => {
    const text = JSON.stringify(transaction);
    const result = await run(command, ["-j", "-f", "-"], text, signal);
    if (!result.success) {
      throw new NftError(`nft refused the firewall transaction: ${result.stderr.trim()}`);
    }
  };
  const look = async (signal: AbortSignal): Promise<Seen> => {
    const now = readNftGeneration(namespace);
    const isSameRuleset = applied?.generation.namespace === now.namespace;
    if (isSameRuleset && applied?.generation.id === now.id) {
      return { listing: applied.listing, isAsLeft: true };
    }
    const listing = shared ? await list(signal) : undefined;
    const isAsLeft = isSameRuleset && listing !== undefined && listing === applied?.listing;
    if (isAsLeft && applied !== undefined) applied.generation = now;
    return { listing, isAsLeft };
  };
  /** @returns How many transactions it took */
  const make = async (steps: TableSteps, signal: AbortSignal): Promise<number> => {
    if (steps.prepare !== undefined) await commit(steps.prepare, signal);
    try {
      await commit(steps.commit, signal);
    } catch (refused) {
      // What is left of it after all goes with the next change.
      await commit(steps.undo, signal).catch(() => undefined);
      throw refused;
    }
    if (steps.sweep !== undefined) await commit(steps.sweep, signal);
    return [steps.prepare, steps.commit, steps.sweep].filter((each) => each !== undefined).length;
  };
  return {
    async sync(content, signal) {
      const text = JSON.stringify([content.sets, content.chains((set) => set)]);
      const seen = await look(signal);
      if (applied?.text === text && seen.isAsLeft) return { changed: false };
      const known = seen.isAsLeft ? applied?.left : undefined;
      applied = undefined;
      const before = readNftGeneration(namespace);
      const steps = shared ? stepsTo(content, readStanding(seen.listing), known) : undefined;
      const commits = steps === undefined
        ? await commit(replacing(content), signal).then(() => 1)
        : await make(steps, signal);
      const listing = shared ? await list(signal) : undefined;
      const generation = readNftGeneration(namespace);
      // Somebody else's commit in between may have been to our table.
      const isAlone = generation.id === before.id + commits &&
        generation.namespace === before.namespace;
      if (isAlone) applied = { text, listing, left: steps?.left, generation };
      return { changed: true };
    },
    stands: async (signal) => await list(signal) !== undefined,
    async remove(signal) {
      applied = undefined;
      await commit(removal(), signal);
    },
  };
}

/** The listing without what the kernel numbers anew at each transaction. */
function withoutHandles(listing: string): string {
  return JSON.stringify(
    JSON.parse(listing),
    (key, value: unknown) => key === "handle" || key === "metainfo" ? undefined : value,
  );
}

async function run(
  command: readonly string[],
  args: readonly string[],
  stdin: string,
  signal: AbortSignal,
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const [program = "nft", ...leading] = command;
  try {
    const child = new Deno.Command(program, {
      args: [...leading, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      signal,
    }).spawn();
    const writer = child.stdin.getWriter();
    // nft may refuse and exit before it has read everything: its own words matter then, not the broken pipe.
    const written = writer.write(new TextEncoder().encode(stdin)).then(() => writer.close())
      .catch(() => undefined);
    const [output] = await Promise.all([child.output(), written]);
    const decoder = new TextDecoder();
    return {
      success: output.success,
      stdout: decoder.decode(output.stdout),
      stderr: decoder.decode(output.stderr),
    };
  } catch (cause) {
    signal.throwIfAborted();
    throw new NftError(`Expected the program "${program}" to run: install the package nftables`, {
      cause,
    });
  }
}
