import assert from "node:assert/strict";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { createAuthority, createServerCertificate } from "./certificate.ts";
import { DerError, objectIdentifier, octetString, sequence, time, unsignedInteger } from "./der.ts";

const hex = (bytes: Uint8Array) => bytes.toHex();

Deno.test("An object identifier that is none is refused", () => {
  for (const text of ["", "1", "1.x.3"]) {
    assert.throws(() => objectIdentifier(text), (error: unknown) => error instanceof DerError);
  }
});

Deno.test("DER values have the bytes that X.690 gives them", () => {
  assert.equal(hex(objectIdentifier("1.2.840.10045.4.3.2")), "06082a8648ce3d040302");
  assert.equal(hex(unsignedInteger(Uint8Array.of(0, 0))), "020100");
  assert.equal(hex(unsignedInteger(Uint8Array.of(0, 0x80))), "02020080");
  assert.equal(hex(unsignedInteger(Uint8Array.of(0x7f))), "02017f");
  assert.equal(hex(sequence(octetString(Uint8Array.of(1)))), "3003040101");
  assert.equal(hex(octetString(new Uint8Array(128))).slice(0, 6), "048180");
  assert.equal(hex(octetString(new Uint8Array(256))).slice(0, 8), "04820100");
  const digits = (date: string) => new TextDecoder().decode(time(new Date(date)).subarray(2));
  assert.equal(digits("2049-12-31T23:59:59Z"), "491231235959Z");
  assert.equal(digits("2050-01-01T00:00:00Z"), "20500101000000Z");
});

function issue() {
  const now = new Date();
  const ca = createAuthority("test authority", now);
  const key = createPrivateKey(ca.key);
  const authority = { commonName: "test authority", key, publicKey: createPublicKey(ca.key) };
  const hosts = ["127.0.0.1", "::1", "api.example.org"];
  return { ca, server: createServerCertificate(authority, hosts, now) };
}

Deno.test("A server certificate names its hosts and is signed by the authority", () => {
  const issued = issue();
  const [ca, server] = [issued.ca, issued.server].map(({ certificate }) =>
    new X509Certificate(certificate)
  );
  assert.ok(ca !== undefined && server !== undefined);
  assert.ok(ca.ca && !server.ca);
  assert.ok(server.checkIssued(ca) && server.verify(ca.publicKey) && ca.verify(ca.publicKey));
  assert.ok(server.checkPrivateKey(createPrivateKey(issued.server.key)));
  assert.equal(server.checkIP("127.0.0.1"), "127.0.0.1");
  assert.equal(server.checkHost("api.example.org"), "api.example.org");
  assert.equal(server.checkIP("127.0.0.2"), undefined);
});

Deno.test("A TLS client that trusts the authority reaches the server, another does not", async () => {
  const { ca, server } = issue();
  await using listening = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    cert: server.certificate,
    key: server.key,
    onListen: () => {},
  }, () => new Response("here"));
  const url = `https://127.0.0.1:${listening.addr.port}/`;
  {
    using client = Deno.createHttpClient({ caCerts: [ca.certificate] });
    assert.equal(await (await fetch(url, { client })).text(), "here");
  }
  using other = Deno.createHttpClient({ caCerts: [issue().ca.certificate] });
  await assert.rejects(fetch(url, { client: other }));
});
