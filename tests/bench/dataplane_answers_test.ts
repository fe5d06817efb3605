import assert from "node:assert/strict";
import { parseSockperf } from "./dataplane_answers.ts";

const answer = `sockperf: Test ended
sockperf: [Total Run] RunTime=1.001 sec; Warm up time=400 msec; SentMessages=29845; ReceivedMessages=29844
sockperf: [Valid Duration] RunTime=0.500 sec; SentMessages=24561; ReceivedMessages=24560
sockperf: ---> <MAX> observation = 4062.116
sockperf: ---> percentile 99.900 = 1041.483
sockperf: ---> percentile 99.000 =   22.077
sockperf: ---> percentile 50.000 =    7.325
`;

Deno.test("An answer of sockperf without its figures is an error that shows it", () => {
  assert.throws(() => parseSockperf("sockperf: ERROR: no server"), /no server/);
  assert.throws(() => parseSockperf(answer.replace(/.*99\.000.*\n/, "")), /Test ended/);
});

Deno.test("Rate and latencies of sockperf are those of the time that counts", () => {
  assert.deepEqual(parseSockperf(answer), { rate: 49120, median: 7.325, p99: 22.077 });
});
