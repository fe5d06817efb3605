/**
 * One end of a stream of datagrams. `echo PORT` sends back what it gets. `send ADDRESS PORT` sends a datagram every ten milliseconds until its
 * stdin ends, says "received" for each hundredth that comes back, the first included, and at last what was lost, as JSON.
 */
import { createSocket, type Socket } from "node:dgram";

const everyMs = 10;
/** Milliseconds without any answer after which what is outstanding counts as lost: an emulated machine answers late, but it answers. */
const silenceMs = 2_000;

function bind(socket: Socket, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind(port, "0.0.0.0", () => resolve());
  });
}

async function echo(port: number): Promise<void> {
  const socket = createSocket("udp4");
  socket.on("message", (message, peer) => {
    // Without a way back yet there is nobody to answer.
    socket.send(message, peer.port, peer.address, () => undefined);
  });
  await bind(socket, port);
  console.log("listening");
}

async function send(address: string, port: number): Promise<void> {
  const socket = createSocket("udp4");
  const outstanding = new Map<number, number>();
  let sent = 0;
  let received = 0;
  let lastAnswer = 0;
  socket.on("message", (message) => {
    outstanding.delete(message.readUInt32BE(0));
    lastAnswer = performance.now();
    if (received++ % 100 === 0) console.log("received");
  });
  await bind(socket, 0);
  const start = performance.now();
  const tick = () => {
    // A machine that was busy makes up for it: so many are due by now.
    for (; sent * everyMs <= performance.now() - start; sent++) {
      outstanding.set(sent, Date.now());
      const message = new Uint8Array(4);
      new DataView(message.buffer).setUint32(0, sent);
      socket.send(message, port, address, () => undefined);
    }
  };
  const timer = setInterval(tick, everyMs);
  await Deno.stdin.readable.pipeTo(new WritableStream());
  clearInterval(timer);
  const end = performance.now();
  while (outstanding.size > 0 && performance.now() - Math.max(end, lastAnswer) < silenceMs) {
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  socket.close();
  console.log(JSON.stringify({ sent, lost: [...outstanding.values()] }));
}

const [mode, ...args] = Deno.args;
if (mode === "echo") await echo(Number(args[0]));
else await send(args[0] ?? "", Number(args[1]));
