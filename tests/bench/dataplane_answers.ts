/** Reads what sockperf prints. Pure. */

/** What a run of messages back and forth came to. */
export interface PingPong {
  /** Messages that came back, in a second. */
  readonly rate: number;
  /** Half of a round trip in microseconds: of the medium message. */
  readonly median: number;
  /** The same of the 99th in a hundred. */
  readonly p99: number;
}

/** Reads the answer of `sockperf ping-pong`. @throws {Error} When it lacks a figure */
export function parseSockperf(text: string): PingPong {
  const number = (pattern: RegExp) => {
    const found = pattern.exec(text)?.[1];
    if (found === undefined) throw new Error(`Expected figures of sockperf, found: ${text.trim()}`);
    return Number(found);
  };
  const duration = number(/\[Valid Duration\] RunTime=(\d+\.\d+) sec/);
  const received = number(/\[Valid Duration\].*ReceivedMessages=(\d+)/);
  return {
    rate: received / duration,
    median: number(/percentile 50\.000 =\s+(\d+\.\d+)/),
    p99: number(/percentile 99\.000 =\s+(\d+\.\d+)/),
  };
}
