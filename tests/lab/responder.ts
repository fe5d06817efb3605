/**
 * Answers TCP connections of both IP versions in network namespaces, each with its own name and the address that it sees as the caller's, until
 * it is ended. Arguments: `path=name …`, where the path `-` is the namespace that it was started in.
 */
import { inNetns, openNetns } from "../../lib/sys/netns.ts";
import { answerPort } from "./topology.ts";

function listen(path: string): Deno.TcpListener {
  // The kernel gives this one the IPv4 connections too.
  const open = () => Deno.listen({ hostname: "::", port: answerPort });
  if (path === "-") return open();
  using netns = openNetns(path);
  return inNetns(netns, open);
}

async function answer(listener: Deno.TcpListener, name: string): Promise<void> {
  for await (const connection of listener) {
    const hostname = connection.remoteAddr.hostname.replace(/^::ffff:(?=.*\.)/, "");
    connection.write(new TextEncoder().encode(`${name} ${hostname}\n`))
      .catch(() => undefined) // The caller is gone: its own result tells.
      .finally(() => connection.close());
  }
}

const listeners = Deno.args.map((word) => {
  const at = word.indexOf("=");
  return { name: word.slice(at + 1), listener: listen(word.slice(0, at)) };
});
console.log("listening");
await Promise.all(listeners.map(({ listener, name }) => answer(listener, name)));
