import assert from "node:assert/strict";
import { type VRFDomain, vrfDomainKind } from "../resources/vrf_domain.ts";
import { loadKube } from "./connect.ts";
import { KubeError, type KubeErrorCode } from "./kube_error.ts";
import { createResourceClient } from "./resource_client.ts";
import { KubeConfigFile, kubeconfigText } from "./testing/kubeconfig.ts";
import {
  jsonAnswer,
  startScriptedApi,
  statusAnswer,
  testCertificate,
} from "./testing/scripted_api.ts";

function domain(name: string): VRFDomain {
  return {
    apiVersion: "cni.pyroute2.org/v1alpha1",
    kind: "VRFDomain",
    metadata: { name, resourceVersion: "7" },
    spec: {
      vrf: 200,
      table: 2200,
      prefix: "10.150.0.0",
      prefixlen: 16,
      ipblocklen: 26,
      attachments: [{ type: "l3vni", vni: 50200, port: 4789 }],
    },
  };
}

async function failure(run: () => Promise<unknown>): Promise<KubeError> {
  try {
    await run();
  } catch (thrown) {
    assert(thrown instanceof KubeError, String(thrown));
    return thrown;
  }
  throw new Error("Expected a failure");
}

Deno.test("a kubeconfig that cannot be used is refused with the file's name", () => {
  for (
    const text of [
      "::: no yaml",
      "[]",
      "{}",
      kubeconfigText({ server: "http://192.0.2.1:8080", authority: "" }),
      kubeconfigText({ server: "nonsense", authority: "" }),
    ]
  ) {
    using file = new KubeConfigFile(text);
    assert.throws(() => loadKube({ kubeconfigPath: file.path }), { code: "Invalid" }, text);
  }
  assert.throws(() => loadKube({ kubeconfigPath: "/nonexistent/pr2t" }), {
    code: "Invalid",
    message: /"\/nonexistent\/pr2t"/,
  });
  assert.throws(() => loadKube({}), { code: "Invalid" });
});

Deno.test("each status of the server becomes its code, and the message names the object", async () => {
  const cases: [number, string, KubeErrorCode][] = [
    [400, "BadRequest", "Invalid"],
    [401, "Unauthorized", "Unauthorized"],
    [403, "Forbidden", "Forbidden"],
    [404, "NotFound", "NotFound"],
    [409, "AlreadyExists", "AlreadyExists"],
    [409, "Conflict", "Conflict"],
    [410, "Expired", "Gone"],
    [422, "Invalid", "Invalid"],
    [429, "TooManyRequests", "Throttled"],
    [500, "InternalError", "Unavailable"],
    [503, "ServiceUnavailable", "Unavailable"],
    [504, "Timeout", "Timeout"],
  ];
  let next: [number, string] = [500, ""];
  await using api = startScriptedApi(() => statusAnswer(...next, "because of the test"));
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath });
  const client = createResourceClient(connection, vrfDomainKind);
  for (const [status, reason, code] of cases) {
    next = [status, reason];
    const error = await failure(() => client.patch("blue", {}));
    assert.equal(error.code, code, reason);
    assert.equal(error.httpStatus, status);
    assert.match(error.message, /patch vrfdomains "blue".*because of the test/);
  }
});

Deno.test("what is no object of the API is refused, whatever the server sends", async () => {
  const answers = ["", "null", "[]", "<html>", "7", '{"metadata":{}}', '{"metadata":{"name":"x"}}'];
  let next = "";
  await using api = startScriptedApi(() => new Response(next));
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath });
  const client = createResourceClient(connection, vrfDomainKind);
  for (next of answers) {
    assert.equal((await failure(() => client.get("blue"))).code, "Invalid", next);
  }
});

Deno.test("an object goes to the server and comes back validated", async () => {
  const bodies: unknown[] = [];
  await using api = startScriptedApi(async (request) => {
    bodies.push([
      request.headers.get("content-type"),
      await request.text().then((text) => text && JSON.parse(text)),
    ]);
    return request.method === "DELETE"
      ? statusAnswer(404, "NotFound", "gone")
      : jsonAnswer({ ...domain("blue"), surplus: 1 });
  });
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath });
  const client = createResourceClient(connection, vrfDomainKind);
  assert.deepEqual(await client.get("blue"), domain("blue"));
  assert.deepEqual(await client.create(domain("blue")), domain("blue"));
  await client.replace(domain("blue"));
  await client.patchStatus("blue", { status: {} });
  await client.delete("blue", { uid: "u" });
  const path = "/apis/cni.pyroute2.org/v1alpha1/vrfdomains";
  assert.deepEqual(api.asked, [
    `GET ${path}/blue`,
    `POST ${path}`,
    `PUT ${path}/blue`,
    `PATCH ${path}/blue/status`,
    `DELETE ${path}/blue`,
  ]);
  assert.deepEqual(bodies[3], ["application/merge-patch+json", { status: {} }]);
  assert.deepEqual(bodies[4], [
    "application/json",
    { apiVersion: "v1", kind: "DeleteOptions", preconditions: { uid: "u" } },
  ]);
});

Deno.test("a list is read page by page, and an invalid object does not hide the others", async () => {
  await using api = startScriptedApi((_, url) =>
    jsonAnswer(
      url.searchParams.get("continue") === "more"
        ? {
          items: [{ metadata: { name: "bad" } }, domain("b")],
          metadata: { resourceVersion: "9" },
        }
        : { items: [domain("a")], metadata: { resourceVersion: "9", continue: "more" } },
    )
  );
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath });
  const list = await createResourceClient(connection, vrfDomainKind).list();
  assert.deepEqual(list.map(({ metadata }) => metadata.name), ["a", "b"]);
});

Deno.test("a server too busy is asked again after the time it names, and not for ever", async () => {
  const waits: number[] = [];
  let now = 0;
  let busy = 2;
  await using api = startScriptedApi(() =>
    busy-- > 0
      ? statusAnswer(429, "TooManyRequests", "busy", { "retry-after": "3" })
      : jsonAnswer(domain("blue"))
  );
  using connection = loadKube({
    kubeconfigPath: api.kubeconfigPath,
    wait: (ms) => {
      waits.push(ms);
      now += ms;
      return Promise.resolve();
    },
    now: () => now,
    random: () => 0.25,
  });
  const client = createResourceClient(connection, vrfDomainKind);
  assert.equal((await client.get("blue"))?.metadata.name, "blue");
  // Up to twice as long, at random: all that were refused at once must not come back at once.
  assert.deepEqual(waits, [3750, 3750]);
  busy = 100;
  const error = await failure(() => client.get("blue"));
  assert.equal(error.code, "Throttled");
  assert.equal(error.retryAfterMs, 3000);
  assert.equal(api.asked.length, 3 + 4);
});

Deno.test("what a busy server asked not to repeat is not sent sooner, whoever asks, and the rest is", async () => {
  let now = 0;
  let busy = true;
  await using api = startScriptedApi((_, url) =>
    busy && url.pathname.endsWith("/blue")
      ? statusAnswer(429, "TooManyRequests", "busy", { "retry-after": "60" })
      : jsonAnswer(domain("red"))
  );
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath, now: () => now });
  const client = createResourceClient(connection, vrfDomainKind);
  assert.equal((await failure(() => client.get("blue"))).retryAfterMs, 60_000);
  now = 59_000;
  const early = await failure(() => client.get("blue"));
  assert.deepEqual([early.code, early.retryAfterMs], ["Throttled", 1_000]);
  assert.match(early.message, /get vrfdomains "blue", for another 1000 ms/);
  await client.get("red");
  await client.patch("red", {});
  assert.equal(api.asked.length, 3);
  now = 60_000;
  busy = false;
  await client.get("blue");
  assert.equal(api.asked.length, 4);
});

Deno.test("a server of another certificate authority is not believed", async () => {
  await using api = startScriptedApi(() => jsonAnswer({}), { authority: "" });
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath });
  const error = await failure(() => createResourceClient(connection, vrfDomainKind).get("blue"));
  assert.equal(error.code, "CertificateInvalid");
  assert.deepEqual(api.asked, []);
});

Deno.test("a server that is away and a server that is silent are told apart", async () => {
  using away = new KubeConfigFile(
    kubeconfigText({ server: "https://127.0.0.1:1", authority: testCertificate }),
  );
  using nobody = loadKube({ kubeconfigPath: away.path });
  const refused = await failure(() => createResourceClient(nobody, vrfDomainKind).list());
  assert.equal(refused.code, "Unavailable");
  assert.match(refused.message, /127\.0\.0\.1:1/);

  const hold = Promise.withResolvers<Response>();
  await using api = startScriptedApi(() => hold.promise);
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath, timeoutMs: 50 });
  const silent = await failure(() => createResourceClient(connection, vrfDomainKind).list());
  assert.equal(silent.code, "Timeout");
  hold.resolve(jsonAnswer({}));
});

Deno.test("an aborted request rejects with the signal's reason", async () => {
  const hold = Promise.withResolvers<Response>();
  await using api = startScriptedApi(() => hold.promise);
  using connection = loadKube({ kubeconfigPath: api.kubeconfigPath });
  const client = createResourceClient(connection, vrfDomainKind);
  const reason = new Error("enough");
  const controller = new AbortController();
  const request = client.get("blue", controller.signal);
  controller.abort(reason);
  await assert.rejects(request, reason);
  await assert.rejects(client.get("blue", controller.signal), reason);
  hold.resolve(jsonAnswer({}));
});

Deno.test("a kubeconfig that is mended counts without a restart: server, authority and token", async () => {
  const answer = (request: Request) =>
    request.headers.get("authorization") === "Bearer right"
      ? jsonAnswer(domain("blue"))
      : statusAnswer(401, "Unauthorized", "no");
  await using first = startScriptedApi(answer);
  await using second = startScriptedApi(answer);
  const server = `https://127.0.0.1:${first.port}`;
  using file = new KubeConfigFile(kubeconfigText({ server, authority: "" }));
  using connection = loadKube({ kubeconfigPath: file.path, credentialsMaxAgeMs: 0 });
  const client = createResourceClient(connection, vrfDomainKind);
  assert.equal((await failure(() => client.get("blue"))).code, "CertificateInvalid");
  const authority = testCertificate;
  file.replace(kubeconfigText({ server, authority, token: "wrong" }));
  assert.equal((await failure(() => client.get("blue"))).code, "Unauthorized");
  file.replace("[]");
  const unreadable = await failure(() => client.get("blue"));
  assert.equal(unreadable.code, "Invalid");
  assert.match(unreadable.message, new RegExp(file.path));
  file.replace(kubeconfigText({ server, authority, token: "right" }));
  assert.notEqual(await client.get("blue"), undefined);
  assert.equal(second.asked.length, 0);
  const moved = `https://127.0.0.1:${second.port}`;
  file.replace(kubeconfigText({ server: moved, authority, token: "right" }));
  assert.notEqual(await client.get("blue"), undefined);
  assert.equal(second.asked.length, 1);
  assert.equal(connection.server, moved);
});

Deno.test("a token whose file was replaced is read again", async () => {
  let good = "first";
  await using api = startScriptedApi((request) =>
    request.headers.get("authorization") === `Bearer ${good}`
      ? jsonAnswer(domain("blue"))
      : statusAnswer(401, "Unauthorized", "no")
  );
  const directory = Deno.makeTempDirSync({ prefix: "pr2t-" });
  try {
    Deno.writeTextFileSync(`${directory}/token`, "first\n");
    Deno.writeTextFileSync(`${directory}/ca.crt`, testCertificate);
    using connection = loadKube({
      inCluster: { host: "127.0.0.1", port: String(api.port), directory },
    });
    using file = new KubeConfigFile(kubeconfigText({
      server: `https://127.0.0.1:${api.port}`,
      authority: testCertificate,
      tokenFile: `${directory}/token`,
    }));
    using byFile = loadKube({ kubeconfigPath: file.path });
    const clients = [connection, byFile].map((each) => createResourceClient(each, vrfDomainKind));
    for (const client of clients) await client.get("blue");
    good = "second";
    assert.equal(
      (await failure(() => clients[0]?.get("blue") ?? Promise.resolve())).code,
      "Unauthorized",
    );
    Deno.writeTextFileSync(`${directory}/token`, "second\n");
    for (const client of clients) await client.get("blue");
    Deno.writeTextFileSync(`${directory}/token`, "");
    good = "third";
    const empty = await failure(() => clients[0]?.get("blue") ?? Promise.resolve());
    assert.equal(empty.code, "Unauthorized");
    assert.match(empty.message, /token" is empty/);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
