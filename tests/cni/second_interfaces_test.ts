/**
 * Several interfaces of one container, as Multus asks for them: the same container id and namespace, another CNI_IFNAME, a network
 * configuration of its own with its own name, wishes as capability arguments.
 */
import assert from "node:assert/strict";
import { Pod } from "./harness.ts";
import {
  addressOf,
  assertRefused,
  type CallChanges,
  podObject,
  WishingNode,
} from "./wishing_node.ts";

/** A NetworkAttachmentDefinition's configuration, called for `net1`. */
const second: CallChanges = { ifname: "net1", config: { name: "red-net", domain: "red" } };

function withConfig(changes: CallChanges, config: Readonly<Record<string, unknown>>): CallChanges {
  return { ...changes, config: { ...changes.config, ...config } };
}

async function inPod(pod: Pod, ...command: string[]): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("nsenter", {
    args: [`--net=${pod.path}`, ...command],
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

/** A node with a pod whose first interface stands. */
async function start(): Promise<{ self: WishingNode; pod: Pod } & AsyncDisposable> {
  const self = await WishingNode.start();
  const pod = new Pod();
  assert.equal((await self.add(pod)).code, 0);
  return {
    self,
    pod,
    [Symbol.asyncDispose]: async () => {
      pod[Symbol.dispose]();
      await self[Symbol.asyncDispose]();
    },
  };
}

Deno.test("A second interface that cannot be is refused, and the first one goes on", async (t) => {
  await using scene = await start();
  const { self, pod } = scene;
  const cases: [string, CallChanges, number, RegExp][] = [
    ["no such domain", withConfig(second, { domain: "green" }), 7, /green/],
    ["the first one's domain", withConfig(second, { domain: "blue" }), 7, /different addresses/],
    ["the first one's addresses", withConfig(second, { domain: "twin" }), 7, /"eth0" in "blue"/],
    ["a second default route", withConfig(second, { isDefaultGateway: true }), 7, /default route/],
    ["the first one's name", { ...second, ifname: "eth0" }, 4, /"eth0"/],
    [
      "an address of another domain",
      withConfig(second, { runtimeConfig: { ips: ["10.150.0.9"] } }),
      7,
      /10\.160/,
    ],
  ];
  for (const [name, changes, code, message] of cases) {
    await t.step(name, async () => {
      assertRefused(await self.add(pod, "c1", changes), code, message);
      assert.deepEqual(pod.interfaces(), ["lo", "eth0"]);
      assert.deepEqual(self.pool.list().map(({ ifname }) => ifname), ["eth0"]);
      assert.match(await inPod(pod, "ip", "route"), /^default via 10\.150\.0\.1 dev eth0/m);
    });
  }
});

Deno.test("Annotations are for the first interface: a second one alone is refused with them", async () => {
  await using self = await WishingNode.start();
  using pod = new Pod();
  self.announce({ ips: "10.150.0.7" });
  assertRefused(await self.add(pod, "c1", second), 7, /for "eth0".*makes only "net1"/);
  assert.equal(addressOf(await self.add(pod)), "10.150.0.7/26");
  assert.match(String(addressOf(await self.add(pod, "c1", second))), /^10\.160\.0\.\d+\/26$/);
});

Deno.test("A second interface reaches its domain and nothing else through it", async () => {
  await using scene = await start();
  const { self, pod } = scene;
  const added = await self.add(
    pod,
    "c1",
    withConfig(second, {
      runtimeConfig: { ips: ["10.160.0.9/26"], mac: "02:00:00:00:00:09" },
    }),
  );
  assert.equal(addressOf(added), "10.160.0.9/26");
  assert.deepEqual(added.answer?.["routes"], [{ dst: "10.160.0.0/24", gw: "10.160.0.1" }]);
  const routes = await inPod(pod, "ip", "route");
  assert.match(routes, /^default via 10\.150\.0\.1 dev eth0/m);
  assert.match(routes, /^10\.160\.0\.0\/24 via 10\.160\.0\.1 dev net1/m);
  assert.match(await inPod(pod, "ip", "link", "show", "net1"), /02:00:00:00:00:09/);
  // The source is the interface's own address, on both.
  assert.match(
    await inPod(pod, "ip", "route", "get", "10.160.0.200"),
    /dev net1 src 10\.160\.0\.9/,
  );
  assert.match(await inPod(pod, "ip", "route", "get", "192.0.2.1"), /dev eth0 src 10\.150\.0\./);
});

Deno.test("The default route may lead through another interface than the first", async () => {
  await using self = await WishingNode.start();
  using pod = new Pod();
  const first = { config: { isDefaultGateway: false } };
  assert.equal((await self.add(pod, "c1", first)).code, 0);
  const run = await self.add(pod, "c1", withConfig(second, { isDefaultGateway: true }));
  assert.equal(run.code, 0, JSON.stringify(run));
  const routes = await inPod(pod, "ip", "route");
  assert.match(routes, /^default via 10\.160\.0\.1 dev net1/m);
  assert.match(routes, /^10\.150\.0\.0\/24 via 10\.150\.0\.1 dev eth0/m);
});

Deno.test("Each interface is checked and deleted by itself", async () => {
  await using scene = await start();
  const { self, pod } = scene;
  const added = await self.add(pod, "c1", second);
  const check = withConfig(second, { prevResult: added.answer });
  assert.equal((await self.call("CHECK", pod, "c1", check)).code, 0);
  await inPod(pod, "ip", "route", "del", "10.160.0.0/24");
  const damaged = await self.call("CHECK", pod, "c1", check);
  assertRefused(damaged, 103, /difference/);
  assert.match(String(damaged.answer?.["details"]), /10\.160\.0\.0\/24/);

  // The runtime ends the pod's first network with the daemon's other attachment still there, and the other way round.
  for (const [gone, left] of [[second, "eth0"], [{}, "net1"]] as const) {
    assert.equal((await self.del(pod, "c1", gone)).code, 0);
    assert.deepEqual(pod.interfaces(), ["lo", left]);
    assert.deepEqual(self.pool.list().map(({ ifname }) => ifname), [left]);
    assert.equal((await self.add(pod, "c1", gone)).code, 0);
  }
});

Deno.test("GC of a network leaves the container's other networks alone", async () => {
  await using scene = await start();
  const { self, pod } = scene;
  assert.equal((await self.add(pod, "c1", second)).code, 0);
  const gc = (name: string, attachments: readonly { containerID: string; ifname: string }[]) =>
    self.call("GC", pod, "c1", { config: { name, "cni.dev/valid-attachments": attachments } });
  const names = () => self.pool.list().map(({ ifname }) => ifname).toSorted();
  assert.equal((await gc("pr2t", [{ containerID: "c1", ifname: "eth0" }])).code, 0);
  assert.deepEqual(names(), ["eth0", "net1"]);
  assert.equal((await gc("red-net", [{ containerID: "c1", ifname: "net1" }])).code, 0);
  assert.deepEqual(names(), ["eth0", "net1"]);
  assert.equal((await gc("red-net", [])).code, 0);
  assert.deepEqual(names(), ["eth0"]);
  assert.deepEqual(pod.interfaces(), ["lo", "eth0"]);
});

Deno.test("Two pods have second interfaces in one domain, each its own", async () => {
  await using scene = await start();
  const { self, pod } = scene;
  using other = new Pod();
  self.cached.set("shop/web-0", podObject({}));
  assert.equal((await self.add(other, "c2")).code, 0);
  const addresses = [
    addressOf(await self.add(pod, "c1", second)),
    addressOf(await self.add(other, "c2", second)),
  ];
  assert.equal(new Set(addresses).size, 2);
  assert.equal((await self.del(other, "c2", second)).code, 0);
  assert.deepEqual(pod.interfaces(), ["lo", "eth0", "net1"]);
});
