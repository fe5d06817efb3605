import assert from "node:assert/strict";
import { Errno, errnoName, SysError } from "./errno.ts";
import { checked, OwnedFd } from "./fd.ts";
import { FdReceiver, FdReceiverError } from "./fd_receiver.ts";
import { libc } from "./libc.ts";
import {
  createNetns,
  inNetns,
  isNetworkNamespace,
  NetnsError,
  netnsIdentity,
  openNetns,
  openOwnNetns,
} from "./netns.ts";
import {
  createNamedNetns,
  deleteNamedNetns,
  listNamedNetns,
  openNamedNetns,
} from "./named_netns.ts";
import { poll, POLLIN, pollSync, Waiter } from "./poll.ts";
import {
  type FilterInstruction,
  openPacketListener,
  openPacketSocket,
  type PacketListenerOptions,
  receiveFrame,
  sendFrame,
} from "./packet_socket.ts";
import { ReadableSet } from "./readable_set.ts";
import { readSysctl, SysctlError, writeSysctl } from "./sysctl.ts";
import { MessageArena, openUnixDatagram, sendFd, unixAddress } from "./unix_datagram.ts";

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

function tempDir(): { path: string } & Disposable {
  const path = Deno.makeTempDirSync({ prefix: "pr2t-" });
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

function openFds(): number {
  return [...Deno.readDirSync("/proc/self/fd")].length;
}

/** The network namespaces of all threads of this process. */
function threadNamespaces(): Set<string> {
  const found = new Set<string>();
  for (const task of Deno.readDirSync("/proc/self/task")) {
    try {
      found.add(Deno.readLinkSync(`/proc/self/task/${task.name}/ns/net`));
    } catch (thrown) {
      if (!(thrown instanceof Deno.errors.NotFound)) throw thrown; // the thread ended meanwhile
    }
  }
  return found;
}

/** Sends several descriptors in one SCM_RIGHTS message, which sendFd never does. */
function sendFds(path: string, fds: readonly number[], payload: Uint8Array): void {
  using socket = openUnixDatagram();
  const space = (16 + 4 * fds.length + 7) & ~7;
  const arena = new MessageArena(unixAddress(path), fds.length === 0 ? 0 : space, payload.length);
  arena.data.set(payload);
  if (fds.length > 0) {
    const view = new DataView(arena.control.buffer, arena.control.byteOffset);
    view.setBigUint64(0, BigInt(16 + 4 * fds.length), true);
    view.setInt32(8, 1, true);
    view.setInt32(12, 1, true);
    for (const [i, fd] of fds.entries()) view.setInt32(16 + 4 * i, fd, true);
  }
  assert.equal(libc.sendmsg(socket.fd, arena.header, 0), payload.length);
}

Deno.test("A failed system call tells its name, its error and what was attempted", () => {
  assert.throws(() => openNetns("/nonexistent/netns"), (thrown) => {
    assert.ok(thrown instanceof SysError);
    assert.equal(thrown.errnoName, "ENOENT");
    assert.equal(thrown.errno, Errno.ENOENT);
    assert.match(thrown.message, /"\/nonexistent\/netns"/);
    return true;
  });
  assert.equal(errnoName(4242), "E4242");
  assert.throws(() => new OwnedFd(-1), TypeError);
});

Deno.test("An owned descriptor is closed once, and not at all after its release", () => {
  const own = openOwnNetns();
  const number = own.fd;
  own[Symbol.dispose]();
  own[Symbol.dispose]();
  assert.throws(() => own.fd, TypeError);
  const again = openOwnNetns();
  assert.equal(again.fd, number);
  own[Symbol.dispose]();
  assert.equal(isNetworkNamespace(again), true);
  const released = again.release();
  again[Symbol.dispose]();
  assert.equal(isNetworkNamespace(released), true);
  new OwnedFd(released)[Symbol.dispose]();
});

Deno.test("Only a network namespace counts as one", () => {
  using own = openOwnNetns();
  assert.equal(isNetworkNamespace(own), true);
  using mnt = openNetns("/proc/self/ns/mnt");
  assert.equal(isNetworkNamespace(mnt), false);
  using file = openNetns("/proc/self/status");
  assert.equal(isNetworkNamespace(file), false);
  assert.equal(isNetworkNamespace(1 << 20), false);
});

Deno.test("Entering a namespace always ends at home", () => {
  using home = openOwnNetns();
  const before = netnsIdentity(home);
  using netns = createNetns();
  assert.notEqual(netnsIdentity(netns), before);
  const inside = inNetns(netns, () => {
    using own = openOwnNetns();
    return netnsIdentity(own);
  });
  assert.equal(inside, netnsIdentity(netns));
  assert.throws(() =>
    inNetns(netns, () => {
      throw new RangeError("inside");
    }), RangeError);
  assert.throws(() => inNetns(netns, () => Promise.resolve()), NetnsError);
  using file = openNetns("/proc/self/status");
  assert.throws(() => inNetns(file, () => 1), SysError);
  using own = openOwnNetns();
  assert.equal(netnsIdentity(own), before);
  assert.equal(threadNamespaces().size, 1);
});

Deno.test("A named namespace can be created, listed, opened and deleted", () => {
  const name = `pr2t-${crypto.randomUUID().slice(0, 8)}`;
  assert.throws(() => createNamedNetns("a/b"), TypeError);
  try {
    using netns = createNamedNetns(name);
    assert.throws(() => createNamedNetns(name), SysError);
    assert.ok(listNamedNetns().includes(name));
    using opened = openNamedNetns(name);
    assert.ok(opened !== undefined);
    assert.equal(netnsIdentity(opened), netnsIdentity(netns));
  } finally {
    assert.equal(deleteNamedNetns(name), true);
  }
  assert.equal(deleteNamedNetns(name), false);
  assert.equal(openNamedNetns(name), undefined);
  assert.ok(!listNamedNetns().includes(name));
});

Deno.test("Sysctls are those of the namespace entered, and their names are checked", () => {
  using netns = createNetns();
  const key = ["net", "ipv4", "conf", "lo", "forwarding"];
  const home = readSysctl(key);
  inNetns(netns, () => writeSysctl(key, home === "1" ? 0 : 1));
  assert.notEqual(inNetns(netns, () => readSysctl(key)), home);
  assert.equal(readSysctl(key), home);
  assert.throws(() => readSysctl(["net", "..", "kernel"]), SysctlError);
  assert.throws(() => readSysctl(["net/ipv4"]), SysctlError);
  assert.throws(() => writeSysctl(["net", "ipv4", "no_such_key"], 1), SysctlError);
});

Deno.test("A descriptor reaches the receiver with its sender's credentials", async () => {
  using dir = tempDir();
  const path = `${dir.path}/fdpass`;
  await using receiver = FdReceiver.bind(path);
  assert.equal((Deno.statSync(path).mode ?? 0) & 0o777, 0o600);
  using netns = createNetns();
  const received = receiver.receive(new AbortController().signal);
  sendFd(path, netns.fd, encode("request-1"));
  const message = await received;
  assert.equal(new TextDecoder().decode(message.payload), "request-1");
  assert.equal(message.truncated, false);
  assert.deepEqual(message.credentials, { pid: Deno.pid, uid: Deno.uid(), gid: Deno.gid() });
  const [fd, ...others] = message.fds;
  assert.ok(fd !== undefined && others.length === 0);
  assert.equal(netnsIdentity(fd), netnsIdentity(netns));
  assert.notEqual(fd.fd, netns.fd);
  fd[Symbol.dispose]();
});

Deno.test("Every descriptor of odd messages is owned, and cut-off payloads are marked", async () => {
  using dir = tempDir();
  const path = `${dir.path}/fdpass`;
  await using receiver = FdReceiver.bind(path);
  const { signal } = new AbortController();
  using own = openOwnNetns();
  const before = openFds();
  for (const count of [0, 2, 7, 253]) {
    sendFds(path, new Array<number>(count).fill(own.fd), encode("x"));
    const message = await receiver.receive(signal);
    assert.equal(message.fds.length, count);
    assert.equal(message.truncated, false);
    for (const fd of message.fds) fd[Symbol.dispose]();
  }
  sendFds(path, [own.fd], new Uint8Array(5000).fill(7));
  const long = await receiver.receive(signal);
  assert.equal(long.truncated, true);
  assert.equal(long.payload.length, 4096);
  assert.equal(long.fds.length, 1);
  for (const fd of long.fds) fd[Symbol.dispose]();
  assert.equal(openFds(), before);
});

Deno.test("An abort stops the receiver, also before its first message, and nothing stays open", async () => {
  using dir = tempDir();
  const path = `${dir.path}/fdpass`;
  const before = openFds();
  {
    await using receiver = FdReceiver.bind(path);
    const controller = new AbortController();
    const waiting = receiver.receive(controller.signal);
    await assert.rejects(receiver.receive(controller.signal), FdReceiverError);
    controller.abort(new RangeError("stop"));
    await assert.rejects(waiting, RangeError);
    await assert.rejects(receiver.receive(new AbortController().signal), FdReceiverError);
  }
  assert.throws(() => Deno.statSync(path), Deno.errors.NotFound);
  assert.throws(() => sendFd(path, 0, encode("x")), SysError);
  assert.equal(openFds(), before);
});

Deno.test("A receiver replaces a dead one's socket but neither a living one's nor a file", async () => {
  using dir = tempDir();
  const path = `${dir.path}/fdpass`;
  {
    using dead = openUnixDatagram();
    const address = unixAddress(path);
    assert.equal(libc.bind(dead.fd, address, address.length), 0);
  }
  {
    await using receiver = FdReceiver.bind(path);
    assert.throws(() => FdReceiver.bind(path), FdReceiverError);
    receiver.stop();
  }
  Deno.writeTextFileSync(path, "");
  assert.throws(() => FdReceiver.bind(path), FdReceiverError);
  assert.throws(() => FdReceiver.bind(`/tmp/${"x".repeat(200)}`), SysError);
});

Deno.test("A payload that is empty or too long is not sent", () => {
  assert.throws(() => sendFd("/nonexistent", 0, new Uint8Array(0)), TypeError);
  assert.throws(() => sendFd("/nonexistent", 0, new Uint8Array(4097)), TypeError);
});

Deno.test("Poll tells when a datagram is there", async () => {
  using dir = tempDir();
  const path = `${dir.path}/socket`;
  using socket = openUnixDatagram();
  const address = unixAddress(path);
  assert.equal(libc.bind(socket.fd, address, address.length), 0);
  assert.equal(pollSync(socket.fd, POLLIN, 0), 0);
  assert.equal(await poll(socket.fd, POLLIN, 1), 0);
  const waiting = poll(socket.fd, POLLIN, 5000);
  sendFds(path, [], encode("x"));
  assert.equal(await waiting, POLLIN);
  assert.equal(pollSync(socket.fd, POLLIN, 0), POLLIN);
});

Deno.test("Of many descriptors those with something to read are told, and none any more that was removed", async () => {
  using set = new ReadableSet();
  await using waiter = new Waiter(set.fd);
  const descriptors = [1, 2, 3].map(() => new OwnedFd(checked(libc.eventfd(0, 0), "eventfd", "")));
  using owned = new DisposableStack();
  for (const descriptor of descriptors) {
    owned.use(descriptor);
    set.add(descriptor.fd);
  }
  const [first, second, third] = descriptors.map(({ fd }) => fd);
  assert.ok(first !== undefined && second !== undefined && third !== undefined);
  assert.deepEqual(set.ready(), []);
  const told = waiter.readable();
  const one = new BigUint64Array([1n]);
  libc.write(second, one, 8n);
  assert.equal(await told, true);
  assert.deepEqual(set.ready(), [second]);
  libc.write(third, one, 8n);
  assert.deepEqual(set.ready().toSorted(), [second, third].toSorted());
  set.delete(second);
  assert.deepEqual(set.ready(), [third]);
});

Deno.test("A listener gets the frames of its link that pass its filter, and no others", async () => {
  using netns = createNetns();
  const listen = (options: Partial<PacketListenerOptions>) =>
    inNetns(netns, () => openPacketListener({ ifindex: 1, protocol: 0x0806, filter, ...options }));
  // Lets a frame through whose second half word is 0x0102.
  const filter: FilterInstruction[] = [
    [0x28, 0, 0, 2],
    [0x15, 0, 1, 0x0102],
    [0x06, 0, 0, 0xffff],
    [0x06, 0, 0, 0],
  ];
  assert.throws(() => listen({ ifindex: 999 }), SysError);
  assert.throws(() => listen({ filter: [[0x28, 0, 0, 2]] }), SysError); // it never ends
  using socket = listen({});
  using sender = inNetns(netns, openPacketSocket);
  const buffer = new Uint8Array(new ArrayBuffer(60));
  // Listening to a link that is down is told once.
  assert.throws(() => receiveFrame(socket, buffer), SysError);
  const path = `/proc/${Deno.pid}/fd/${netns.fd}`;
  const up = new Deno.Command("nsenter", {
    args: [`--net=${path}`, "ip", "link", "set", "lo", "up"],
  });
  assert.ok((await up.output()).success);
  assert.equal(receiveFrame(socket, buffer), undefined);
  const frame = (...start: number[]) => {
    const bytes = new Uint8Array(new ArrayBuffer(100));
    bytes.set(start);
    bytes.set([0x08, 0x06], 12);
    return bytes;
  };
  sendFrame(sender, 1, frame(0xff, 0xff, 1, 1));
  sendFrame(sender, 1, frame(0xff, 0xff, 1, 2));
  assert.equal(receiveFrame(socket, buffer), 100);
  assert.deepEqual(buffer, frame(0xff, 0xff, 1, 2).subarray(0, 60));
});

Deno.test("A frame goes out of a link of the socket's namespace", () => {
  using netns = createNetns();
  using socket = inNetns(netns, openPacketSocket);
  const frame = new Uint8Array(42).fill(0xff, 0, 6);
  assert.throws(() => sendFrame(socket, 1, frame), SysError); // lo is down in a new namespace
  assert.throws(() => sendFrame(socket, 999, frame), SysError);
});
