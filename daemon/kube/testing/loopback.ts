/** Addresses for servers that come back at the same one. */
import { randomBytes } from "node:crypto";

/** All of 127.0.0.0/8 is loopback's: a random address of it has all ports free, and a port that is given up stays free. */
export function randomLoopback(): string {
  const [first = 0, second = 0, third = 0] = randomBytes(3);
  return `127.${1 + first % 254}.${second}.${1 + third % 254}`;
}
