/** Values a log field may hold; anything else is for the caller to reduce first. */
export type LogValue = string | number | boolean | null | undefined | readonly string[];

/** Fields of one log line: `rid`, `containerId`, `ifname`, `namespace`, `pod`, `vrf`, `error`, … */
export type LogFields = Readonly<Record<string, LogValue>>;

/** How much is said, from most to least. */
export const logLevels = ["debug", "info", "warn", "error"] as const;

/** One of {@linkcode logLevels}. */
export type LogLevel = typeof logLevels[number];

/** Writes JSON lines with constant messages; everything that varies is a field. */
export interface Logger {
  /** What only someone tracing a fault reads. */
  debug(message: string, fields?: LogFields): void;
  /** What an operator may want to see in normal operation. */
  info(message: string, fields?: LogFields): void;
  /** What went wrong and heals by itself. */
  warn(message: string, fields?: LogFields): void;
  /** What an operator must look at. */
  error(message: string, fields?: LogFields): void;
  /** A logger that adds `fields` to each of its lines. */
  with(fields: LogFields): Logger;
}

/** Where finished lines go: stderr in the binaries, an array in a test. */
export type LogSink = (line: string) => void;

/**
 * Makes a logger of JSON lines.
 *
 * @param level The least level that is written
 * @param sink Where a line goes, without its line end
 * @param now The clock, so that a test can hold it still
 */
export function createLogger(
  level: LogLevel,
  sink: LogSink,
  now: () => Date = () => new Date(),
): Logger {
  const least = logLevels.indexOf(level);
  const make = (base: LogFields): Logger => {
    const write = (lineLevel: LogLevel, message: string, fields?: LogFields) => {
      if (logLevels.indexOf(lineLevel) < least) return;
      sink(
        JSON.stringify({
          time: now().toISOString(),
          level: lineLevel,
          message,
          ...base,
          ...fields,
        }),
      );
    };
    return {
      debug: (message, fields) => write("debug", message, fields),
      info: (message, fields) => write("info", message, fields),
      warn: (message, fields) => write("warn", message, fields),
      error: (message, fields) => write("error", message, fields),
      with: (fields) => make({ ...base, ...fields }),
    };
  };
  return make({});
}

/** A sink that writes whole lines to stderr, synchronously, so that a crash loses none. */
export function stderrSink(): LogSink {
  const encoder = new TextEncoder();
  return (line) => {
    const bytes = encoder.encode(line + "\n");
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  };
}
