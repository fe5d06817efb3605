/** What the embedded API keeps beside its objects: certificates, the token, the kubeconfig. For root's eyes only. */
import { createPrivateKey, createPublicKey, randomBytes, X509Certificate } from "node:crypto";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { addressFamily } from "../../lib/net/address.ts";
import { type CertificatePair, createAuthority, createServerCertificate } from "./certificate.ts";

/** Secrets of the server. */
export interface Credentials {
  /** CA certificate, PEM. */
  readonly ca: string;
  /** Server certificate and key, PEM. */
  readonly server: CertificatePair;
  /** Bearer token. */
  readonly token: string;
}

const authorityName = "pyroute2-cni embedded API";
const dayMs = 24 * 3600_000;

/** Makes the directory if need be, and closes it to others. */
export async function prepareDataDir(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  await Deno.chmod(path, 0o700);
}

/**
 * Reads the credentials of a directory; makes what is missing, and a new server certificate where the old one does not name
 * all hosts, ends within a year or, made while the clock was ahead, does not hold yet. CA and token stay, so that clients
 * stay connected.
 */
export async function loadCredentials(
  dataDir: string,
  hosts: readonly string[],
  now: Date,
): Promise<Credentials> {
  const file = (name: string) => join(dataDir, name);
  const ca = await readPair(file("ca.crt"), file("ca.key")) ??
    await writePair(file("ca.crt"), file("ca.key"), createAuthority(authorityName, now));
  const found = await readPair(file("server.crt"), file("server.key"));
  const server = found !== undefined && isFit(found.certificate, ca.certificate, hosts, now)
    ? found
    : await writePair(file("server.crt"), file("server.key"), issueServer(ca, hosts, now));
  const token = await readText(file("token")) ??
    await writePrivate(file("token"), randomBytes(32).toString("base64url"));
  return { ca: ca.certificate, server, token };
}

function issueServer(ca: CertificatePair, hosts: readonly string[], now: Date): CertificatePair {
  const key = createPrivateKey(ca.key);
  const authority = { commonName: authorityName, key, publicKey: createPublicKey(ca.key) };
  return createServerCertificate(authority, hosts, now);
}

function isFit(pem: string, caPem: string, hosts: readonly string[], now: Date): boolean {
  const certificate = new X509Certificate(pem);
  const names = hosts.every((host) =>
    addressFamily(host) === undefined
      ? certificate.checkHost(host) !== undefined
      : certificate.checkIP(host) !== undefined
  );
  const left = Date.parse(certificate.validTo) - now.getTime();
  return names && left > 365 * dayMs && Date.parse(certificate.validFrom) <= now.getTime() &&
    certificate.verify(new X509Certificate(caPem).publicKey);
}

/** Writes a kubeconfig with the CA and the token in it, mode 0600. */
export async function writeKubeconfig(
  path: string,
  url: string,
  credentials: Credentials,
): Promise<void> {
  const name = "pyroute2-cni";
  const config = {
    apiVersion: "v1",
    kind: "Config",
    clusters: [{
      name,
      cluster: { server: url, "certificate-authority-data": btoa(credentials.ca) },
    }],
    users: [{ name, user: { token: credentials.token } }],
    contexts: [{ name, context: { cluster: name, user: name } }],
    "current-context": name,
  };
  await Deno.mkdir(dirname(path), { recursive: true });
  await writePrivate(path, stringify(config));
}

async function readPair(certificate: string, key: string): Promise<CertificatePair | undefined> {
  const [certificateText, keyText] = [await readText(certificate), await readText(key)];
  if (certificateText === undefined || keyText === undefined) return undefined;
  return { certificate: certificateText, key: keyText };
}

async function writePair(
  certificate: string,
  key: string,
  pair: CertificatePair,
): Promise<CertificatePair> {
  await writePrivate(key, pair.key);
  await writePrivate(certificate, pair.certificate);
  return pair;
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes a file whole or not at all, never readable by others. */
async function writePrivate(path: string, text: string): Promise<string> {
  const draft = `${path}.new`;
  using file = await Deno.open(draft, { write: true, create: true, truncate: true, mode: 0o600 });
  await Deno.chmod(draft, 0o600);
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
  await Deno.rename(draft, path);
  return text;
}
