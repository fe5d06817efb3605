import assert from "node:assert/strict";
import { parseRequests, requestsBetween, total } from "./api_requests.ts";

const line = (verb: string, resource: string, count: number, more = "", code = 200) =>
  `apiserver_request_total{code="${code}",group="g",resource="${resource}",${more}verb="${verb}"} ${count}`;

Deno.test("Other metrics are no requests", () => {
  assert.equal(parseRequests("").size, 0);
  assert.equal(parseRequests('apiserver_request_duration{verb="GET"} 4\n# apiserver').size, 0);
});

Deno.test("Requests are summed by verb and resource, whatever their status was", () => {
  const counts = parseRequests([
    line("PATCH", "ipblocks", 2, 'subresource="status",'),
    line("PATCH", "ipblocks", 3, 'subresource="status",', 409),
    line("POST", "ipblocks", 1, 'subresource="",'),
  ].join("\n"));
  assert.deepEqual([...counts], [["PATCH ipblocks/status", 5], ["POST ipblocks", 1]]);
});

Deno.test("Between two counts is what was asked of late, without what goes on anyway", () => {
  const before = new Map([["POST ipblocks", 1], ["GET pods", 2]]);
  const after = new Map([
    ["POST ipblocks", 4],
    ["GET pods", 2],
    ["LIST pods", 3],
    ["WATCH ipblocks", 1],
    ["PUT leases", 7],
    ["GET nodes", 9],
  ]);
  const between = requestsBetween(before, after);
  assert.deepEqual([...between], [["POST ipblocks", 3]]);
  assert.equal(total(between), 3);
});
