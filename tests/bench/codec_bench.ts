/** The netlink codec alone, by `deno bench`: it runs `codec_messages.ts` and reads what that found. */
import { z } from "zod";
import { repository } from "../lab/options.ts";
import { execute } from "../lab/process.ts";
import type { Bench } from "./bench_definition.ts";
import { ours, type Row } from "./report.ts";

/** What `deno bench --json` prints, as far as it is used; times in nanoseconds. */
const answerSchema = z.object({
  benches: z.array(z.object({
    name: z.string(),
    results: z.array(z.object({
      ok: z.object({
        n: z.number(),
        min: z.number(),
        max: z.number(),
        p75: z.number(),
        p99: z.number(),
        avg: z.number(),
      }).optional(),
    })),
  })),
});

/** Encoding and decoding of messages. */
export const codecBench: Bench = {
  name: "codec",
  about: "netlink messages, encoded and decoded; the median's column holds the mean",
  rounds: 1,
  async run({ signal, progress }) {
    progress("deno bench");
    const file = `${repository}/tests/bench/codec_messages.ts`;
    const text = await execute([Deno.execPath(), "bench", "-A", "--no-check", "--json", file], {
      signal,
    });
    const rows = answerSchema.parse(JSON.parse(text)).benches.map(({ name, results }): Row => {
      const found = results[0]?.ok;
      if (found === undefined) throw new Error(`Expected a figure of "${name}", found none`);
      const { n, min, avg, p99, max } = found;
      const micro = (nanoseconds: number) => nanoseconds / 1000;
      return {
        what: name,
        subject: ours,
        unit: "µs",
        runs: n,
        least: micro(min),
        median: micro(avg),
        p99: micro(p99),
        most: micro(max),
        noise: undefined,
      };
    });
    return { rows, notes: [] };
  },
};
