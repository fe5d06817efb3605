import assert from "node:assert/strict";
import { createLogger } from "../log.ts";
import { createApp } from "./app.ts";
import { noSuchResource } from "./api_error.ts";

const blocks = "/apis/ipam.pyroute2.org/v1alpha1/ipblocks";

function appThatAnswers(answer: (request: Request) => Response) {
  const app = createApp({
    token: "secret",
    resources: (request) => Promise.resolve(answer(request)),
    log: createLogger("error", () => {}),
  });
  return async (path: string, method = "GET", token = "secret") => {
    const headers = { authorization: `Bearer ${token}` };
    const answer = await app(new Request(`http://api${path}`, { method, headers }));
    return { status: answer.status, text: await answer.text() };
  };
}

Deno.test("Who shows no token does not learn what is asked of the embedded API", async () => {
  const ask = appThatAnswers(() => new Response("{}"));
  assert.equal((await ask("/metrics", "GET", "guess")).status, 401);
});

Deno.test("What is no served resource and no known method leaves no trace in the metrics", async () => {
  const ask = appThatAnswers(() => {
    throw noSuchResource();
  });
  await ask("/apis/example.org/v1/secrets-of-mine");
  await ask("/api/v1/nothing/x");
  await ask(blocks, "TEASE");
  const { text } = await ask("/metrics");
  assert.doesNotMatch(text, /^apiserver_request_total\{/m);
});

Deno.test("Requests are counted by verb, resource and status, as a cluster's API server counts them", async () => {
  const ask = appThatAnswers(({ method }) =>
    new Response("{}", { status: method === "PUT" ? 409 : 200 })
  );
  await ask(blocks);
  await ask(blocks);
  await ask(`${blocks}?watch=true`);
  await ask(`${blocks}/a`);
  await ask(`${blocks}/a/status`, "PUT");
  await ask(`${blocks}/a`, "DELETE");
  await ask(blocks, "DELETE");
  await ask("/api/v1/namespaces/shop/pods/web-0", "PATCH");
  const { status, text } = await ask("/metrics");
  assert.equal(status, 200);
  const line = (code: number, verb: string, subresource = "") =>
    `apiserver_request_total{code="${code}",group="ipam.pyroute2.org",resource="ipblocks",` +
    `subresource="${subresource}",verb="${verb}"}`;
  assert.deepEqual(text.split("\n").filter((each) => each.startsWith("apiserver")), [
    'apiserver_request_total{code="200",group="",resource="pods",subresource="",verb="PATCH"} 1',
    `${line(200, "DELETE")} 1`,
    `${line(200, "DELETECOLLECTION")} 1`,
    `${line(200, "GET")} 1`,
    `${line(200, "LIST")} 2`,
    `${line(200, "WATCH")} 1`,
    `${line(409, "PUT", "status")} 1`,
  ]);
});
