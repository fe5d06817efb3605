import { CodedError } from "../../lib/errors.ts";
import {
  type FirewallModel,
  firewallTable,
  renderFirewall,
  renderFirewallRemoval,
} from "./firewall.ts";

/** nft refused a transaction or could not be run; nothing of the transaction was applied. */
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

/** Keeps the project's nftables table in step with a model. */
export interface Firewall {
  /**
   * Makes the table as the model says, in one transaction. Nothing is written while the model is unchanged and the table
   * still stands as it was left; a hand-made change is replaced.
   *
   * @throws {NftError} When nft refuses; the table is then as before
   */
  sync(model: FirewallModel, signal: AbortSignal): Promise<{ readonly changed: boolean }>;
  /** Removes the table. @throws {NftError} */
  remove(signal: AbortSignal): Promise<void>;
}

/**
 * Makes a firewall that works by the program nft.
 *
 * @param command The program and its leading arguments, `["nft"]` on a node; a test prefixes it to enter a namespace
 */
export function createFirewall(command: readonly string[] = ["nft"]): Firewall {
  let applied: { readonly transaction: string; readonly table: string } | undefined;
  const list = async (signal: AbortSignal) => {
    const result = await run(command, ["-j", "list", "table", "inet", firewallTable], "", signal);
    return result.success ? withoutHandles(result.stdout) : undefined;
  };
  const commit = async (transaction: string, signal: AbortSignal) => {
    const result = await run(command, ["-j", "-f", "-"], transaction, signal);
    if (!result.success) {
      throw new NftError(`nft refused the firewall transaction: ${result.stderr.trim()}`);
    }
  };
  return {
    async sync(model, signal) {
      const transaction = JSON.stringify(renderFirewall(model));
      if (applied?.transaction === transaction && await list(signal) === applied.table) {
        return { changed: false };
      }
      applied = undefined;
      await commit(transaction, signal);
      const table = await list(signal);
      if (table !== undefined) applied = { transaction, table };
      return { changed: true };
    },
    async remove(signal) {
      applied = undefined;
      await commit(JSON.stringify(renderFirewallRemoval()), signal);
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
