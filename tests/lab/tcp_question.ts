/** Asks who answers at an address, from inside a network namespace, without leaving this process. */
import { addressToBytes } from "../../lib/net/address.ts";
import { checked } from "../../lib/sys/fd.ts";
import { OwnedFd } from "../../lib/sys/fd.ts";
import { errno, libc } from "../../lib/sys/libc.ts";
import { inNetns, openNetns } from "../../lib/sys/netns.ts";
import { POLLIN, POLLOUT, pollSync } from "../../lib/sys/poll.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0x800 | 0x80000;
const EINPROGRESS = 115;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;

/** A question: who answers at this address. */
export interface Question {
  /** Path of the namespace to ask from; null for the process's own. */
  readonly netns: string | null;
  /** Address, IPv4 or IPv6. */
  readonly address: string;
  /** TCP port. */
  readonly port: number;
  /** Where to ask from; the kernel chooses what is absent. */
  readonly from?: {
    /** IPv4 address. */
    readonly address?: string;
    /** TCP port. */
    readonly port?: number;
    /** Link that the socket is bound to. */
    readonly link?: string;
  };
}

/** Who answered, and which address it saw as the caller's; null for silence or refusal. */
export type Answer = { readonly name: string; readonly seen: string } | null;

/** How many looks without any new answer make silence: three seconds, and more on a machine that is slow to look. */
const silentLooks = 150;
const lookEveryMs = 20;

/** Asks all questions at once; whoever has not answered when silence falls counts as nobody. */
export async function ask(questions: readonly Question[]): Promise<Answer[]> {
  const sockets = questions.map(connect);
  const answers: (Answer | undefined)[] = sockets.map((socket) =>
    socket === undefined ? null : undefined
  );
  for (let silent = 0; answers.includes(undefined) && silent < silentLooks; silent++) {
    for (const [index, socket] of sockets.entries()) {
      if (socket === undefined || answers[index] !== undefined) continue;
      answers[index] = read(socket);
      if (answers[index] !== undefined) silent = 0;
    }
    // The event loop has nothing to wait for here: the sockets are not known to it.
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
  }
  for (const socket of sockets) socket?.[Symbol.dispose]();
  return answers.map((answer) => answer ?? null);
}

/** struct sockaddr_in (ip(7)) or sockaddr_in6 (ipv6(7)); in the latter the address comes behind the flow label. */
function socketName(address: Uint8Array, port: number): Uint8Array<ArrayBuffer> {
  const isIpv6 = address.length === 16;
  const name = new Uint8Array(isIpv6 ? 28 : 16);
  const view = new DataView(name.buffer);
  view.setUint16(0, isIpv6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port); // network byte order
  name.set(address, isIpv6 ? 8 : 4);
  return name;
}

function connect(question: Question): OwnedFd | undefined {
  const address = addressToBytes(question.address);
  const family = address.length === 16 ? AF_INET6 : AF_INET;
  const name = socketName(address, question.port);
  const open = () => {
    const made = libc.socket(family, SOCK_STREAM_NONBLOCK_CLOEXEC, 0);
    const socket = new OwnedFd(checked(made, "socket", "to ask over TCP"));
    if (question.from !== undefined) bind(socket, question.from, address.length);
    // "No route to host" and the like are an answer too: nobody.
    if (libc.connect(socket.fd, name, name.length) === 0 || errno() === EINPROGRESS) return socket;
    socket[Symbol.dispose]();
    return undefined;
  };
  if (question.netns === null) return open();
  using netns = openNetns(question.netns);
  return inNetns(netns, open);
}

function bind(socket: OwnedFd, from: NonNullable<Question["from"]>, addressBytes: number): void {
  const { address, port = 0, link } = from;
  const any = new Uint8Array(addressBytes);
  const own = socketName(address === undefined ? any : addressToBytes(address), port);
  checked(libc.bind(socket.fd, own, own.length), "bind", "to ask from an address");
  if (link === undefined) return;
  const name = new TextEncoder().encode(`${link}\0`);
  const set = libc.setsockopt(socket.fd, SOL_SOCKET, SO_BINDTODEVICE, name, name.length);
  checked(set, "setsockopt", "to ask from a link");
}

function read(socket: OwnedFd): Answer | undefined {
  if (pollSync(socket.fd, POLLIN | POLLOUT, 0) === 0) return undefined;
  const buffer = new Uint8Array(256);
  const length = libc.recv(socket.fd, buffer, BigInt(buffer.length), 0);
  if (length > 0) {
    const [name = "", seen = ""] = new TextDecoder().decode(buffer.subarray(0, length)).trim()
      .split(" ");
    return { name, seen };
  }
  const EAGAIN = 11;
  return length < 0 && errno() === EAGAIN ? undefined : null;
}
