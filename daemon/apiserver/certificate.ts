/** X.509 certificates of the embedded API (RFC 5280): a CA of its own and a server certificate by it, ECDSA on P-256. */
import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";
import { addressFamily, addressToBytes } from "../../lib/net/address.ts";
import { concat } from "./bytes.ts";
import {
  bitString,
  booleanTrue,
  type Der,
  explicit,
  implicit,
  objectIdentifier,
  octetString,
  sequence,
  setOf,
  time,
  unsignedInteger,
  utf8String,
} from "./der.ts";

/** A certificate and its private key, in PEM. */
export interface CertificatePair {
  /** Certificate. */
  readonly certificate: string;
  /** Private key, PKCS #8. */
  readonly key: string;
}

const oids = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
} as const;

const hour = 3600_000;
const year = 365 * 24 * hour;

interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

interface Issuance {
  readonly subject: string;
  readonly issuer: string;
  readonly years: number;
  readonly keys: KeyPair;
  readonly issuerKey: KeyObject;
  readonly extensions: readonly Der[];
  readonly now: Date;
}

/** Makes a CA certificate that signs itself, valid for 20 years, and the key that goes with it. */
export function createAuthority(commonName: string, now: Date): CertificatePair {
  const keys = generateKeys();
  return issue({
    subject: commonName,
    issuer: commonName,
    years: 20,
    keys,
    issuerKey: keys.privateKey,
    extensions: [
      // Path length 0: it signs servers, no further CA.
      extension(
        oids.basicConstraints,
        sequence(booleanTrue(), unsignedInteger(Uint8Array.of(0))),
        true,
      ),
      // keyCertSign and cRLSign, bits 5 and 6.
      extension(oids.keyUsage, bitString(Uint8Array.of(0x06), 1), true),
      extension(oids.subjectKeyIdentifier, octetString(keyIdentifier(keys.publicKey))),
    ],
    now,
  });
}

/**
 * Makes a server certificate, valid for 10 years.
 *
 * @param authority The CA's common name, key pair and all
 * @param hosts Host names and addresses that the server is reached by
 */
export function createServerCertificate(
  authority: {
    readonly commonName: string;
    readonly key: KeyObject;
    readonly publicKey: KeyObject;
  },
  hosts: readonly string[],
  now: Date,
): CertificatePair {
  const keys = generateKeys();
  return issue({
    subject: hosts[0] ?? "server",
    issuer: authority.commonName,
    years: 10,
    keys,
    issuerKey: authority.key,
    extensions: [
      // digitalSignature, bit 0.
      extension(oids.keyUsage, bitString(Uint8Array.of(0x80), 7), true),
      extension(oids.extendedKeyUsage, sequence(objectIdentifier(oids.serverAuth))),
      extension(oids.subjectKeyIdentifier, octetString(keyIdentifier(keys.publicKey))),
      extension(
        oids.authorityKeyIdentifier,
        sequence(implicit(0, keyIdentifier(authority.publicKey))),
      ),
      extension(oids.subjectAltName, sequence(...hosts.map(generalName))),
    ],
    now,
  });
}

function generateKeys(): KeyPair {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

function issue(issuance: Issuance): CertificatePair {
  const { subject, issuer, years, keys, issuerKey, extensions, now } = issuance;
  const algorithm = sequence(objectIdentifier(oids.ecdsaWithSha256));
  const tbs = sequence(
    explicit(0, unsignedInteger(Uint8Array.of(2))),
    unsignedInteger(serialNumber()),
    algorithm,
    distinguishedName(issuer),
    // Clocks of nodes differ.
    sequence(time(new Date(now.getTime() - hour)), time(new Date(now.getTime() + years * year))),
    distinguishedName(subject),
    spki(keys.publicKey),
    explicit(3, sequence(...extensions)),
  );
  const signature = sign("sha256", tbs, issuerKey);
  return {
    certificate: pem("CERTIFICATE", sequence(tbs, algorithm, bitString(signature))),
    key: keys.privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

function serialNumber(): Uint8Array {
  const bytes = Uint8Array.from(randomBytes(16));
  // Never zero, and of constant length.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

function distinguishedName(commonName: string): Der {
  return sequence(setOf(sequence(objectIdentifier(oids.commonName), utf8String(commonName))));
}

function extension(oid: string, value: Der, critical = false): Der {
  return sequence(
    objectIdentifier(oid),
    critical ? booleanTrue() : concat(),
    octetString(value),
  );
}

function generalName(host: string): Der {
  return addressFamily(host) === undefined
    ? implicit(2, new TextEncoder().encode(host))
    : implicit(7, addressToBytes(host));
}

function spki(key: KeyObject): Uint8Array {
  return Uint8Array.from(key.export({ type: "spki", format: "der" }));
}

/** RFC 7093, section 2, method 1: the first 160 bits of a SHA-256. */
function keyIdentifier(key: KeyObject): Uint8Array {
  return Uint8Array.from(createHash("sha256").update(spki(key)).digest()).subarray(0, 20);
}

function pem(label: string, der: Uint8Array): string {
  const base64 = btoa(String.fromCharCode(...der)).replaceAll(/.{64}/g, "$&\n");
  return `-----BEGIN ${label}-----\n${base64.trimEnd()}\n-----END ${label}-----\n`;
}
