/** Has a script on a node go on step by step: thousands of commands for its daemon, or the netlink messages of one alone. */
import { TextLineStream } from "./text_lines.ts";
import type { Holder } from "../lab/holder.ts";
import { z } from "zod";

/** A driver at work. */
export interface Driver extends AsyncDisposable {
  /** Resolves when all attachments are made, or unmade; gives the milliseconds of each. Called in turns for ADD and DEL. */
  step(): Promise<readonly number[]>;
}

/** What a driver does. */
export interface DriverOptions {
  /** How many containers it attaches. */
  readonly attachments: number;
  /** How many commands run at once. */
  readonly atOnce: number;
  /** How often it attaches and detaches them all. */
  readonly passes: number;
}

const stepSchema = z.array(z.number());

/** Starts a driver on a node. */
export function startDriver(
  node: Holder,
  { attachments, atOnce, passes }: DriverOptions,
): Driver {
  return startScript(node, "exchange_driver.ts", [attachments, atOnce, passes].map(String));
}

/** Starts what sends the bare netlink messages of one ADD and of its DEL, in turns, on a node. */
export function startNetlinkDriver(node: Holder): Driver {
  return startScript(node, "netlink_driver.ts", []);
}

function startScript(node: Holder, name: string, scriptArgs: readonly string[]): Driver {
  const script = new URL(`./${name}`, import.meta.url).pathname;
  const [program = "", ...args] = node.inside([
    Deno.execPath(),
    ...["run", "-A", "--no-check", "--quiet", script],
    ...scriptArgs,
  ]);
  const child = new Deno.Command(program, { args, stdin: "piped", stdout: "piped" }).spawn();
  const writer = child.stdin.getWriter();
  const lines = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream()).getReader();
  let begun = false;
  return {
    async step() {
      if (begun) await writer.write(new TextEncoder().encode("\n"));
      begun = true;
      const { value } = await lines.read();
      if (value === undefined) throw new Error("Expected the driver to go on, found it ended");
      return stepSchema.parse(JSON.parse(value));
    },
    async [Symbol.asyncDispose]() {
      await writer.close().catch(() => {});
      await lines.cancel();
      await child.status;
    },
  };
}
