import assert from "node:assert/strict";
import { CniError, type CniErrorName } from "../../lib/cni/errors.ts";
import { parseCniArgs } from "../../lib/cni/args.ts";
import { parseNetworkWishes } from "../../lib/cni/wishes.ts";
import { createGatherWishes } from "./attachment_wishes.ts";

const signal = new AbortController().signal;

/** A call and the world that it comes into. */
interface Scene {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly args?: string;
  readonly ifname?: string;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly attached?: readonly string[];
  /** Kind of the pod's controller. */
  readonly owner?: string;
}

/** Gathers, counting how often the pod is looked up. */
function gather(
  { config = {}, args = "", ifname = "eth0", annotations, attached = [], owner }: Scene,
) {
  let lookups = 0;
  const gatherWishes = createGatherWishes({
    findPod: () => {
      lookups++;
      return Promise.resolve(
        annotations && { metadata: { ...identity, annotations, ownerReferences: ownersOf(owner) } },
      );
    },
    hasInterface: (id, name) => attached.includes(`${id}/${name}`),
  });
  const env = {
    CNI_COMMAND: "ADD",
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/x",
    CNI_IFNAME: ifname,
    CNI_ARGS: `K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;${args}`,
  };
  const call = { args: parseCniArgs(env), wishes: parseNetworkWishes(config) };
  return { wishes: gatherWishes(call, signal), lookups: () => lookups };
}

const identity = { name: "web-0", namespace: "shop" };

function ownersOf(kind: string | undefined) {
  const owner = { apiVersion: "apps/v1", kind: "Node", name: "n", uid: "o-1" };
  return kind === undefined ? [] : [owner, { ...owner, kind, controller: true }];
}

async function refused(scene: Scene, code: CniErrorName, message: RegExp): Promise<void> {
  await assert.rejects(gather(scene).wishes, (thrown) => {
    assert.ok(thrown instanceof CniError, String(thrown));
    assert.equal(thrown.code, code);
    assert.match(thrown.message, message);
    return true;
  });
}

const ips = (text: string) => ({ "cni.pyroute2.org/ips": text });

Deno.test("two wishes for one thing that differ are refused with both places", async () => {
  await refused(
    { config: { runtimeConfig: { ips: ["10.150.0.8"] } }, annotations: ips("10.150.0.7") },
    "InvalidConfig",
    /"10\.150\.0\.8" in "runtimeConfig\.ips".*"10\.150\.0\.7" in the pod's annotations/,
  );
  await refused(
    { config: { args: { cni: { mac: "02:00:00:00:00:01" } } }, args: "MAC=02:00:00:00:00:02" },
    "InvalidConfig",
    /"args\.cni\.mac".*"MAC" of "CNI_ARGS"/,
  );
  await refused(
    { config: { domain: "a" }, annotations: { "cni.pyroute2.org/domain": "b" } },
    "InvalidConfig",
    /VRFDomain, found "a".*"b"/,
  );
});

Deno.test("addresses and MACs of the network configuration are looked into as those of annotations", async () => {
  const cases: [Scene, RegExp][] = [
    [{ config: { runtimeConfig: { ips: ["10.150.0.7", "10.150.0.8"] } } }, /runtimeConfig\.ips/],
    [{ config: { args: { cni: { ips: ["x"] } } } }, /args\.cni\.ips.*found "x"/],
    [{ config: { runtimeConfig: { mac: "01:00:00:00:00:01" } } }, /runtimeConfig\.mac.*group/],
    [{ args: "IP=10.150.0" }, /"IP" of "CNI_ARGS"/],
    [{ args: "MAC=1" }, /"MAC" of "CNI_ARGS"/],
  ];
  for (const [scene, message] of cases) await refused(scene, "InvalidConfig", message);
});

Deno.test("annotations for an interface that this plugin does not make are refused", async () => {
  const scene = { ifname: "net1", annotations: ips("10.150.0.7") };
  await refused(scene, "InvalidConfig", /for "eth0".*makes only "net1"/);
  assert.deepEqual(await gather({ ...scene, attached: ["c1/eth0"] }).wishes, { addresses: [] });
});

Deno.test("a wrong annotation is refused for every interface of the pod", async () => {
  const scene = { ifname: "net1", annotations: { "cni.pyroute2.org/ipss": "10.150.0.7" } };
  await refused({ ...scene, attached: ["c1/eth0"] }, "InvalidConfig", /"cni\.pyroute2\.org\/ipss"/);
});

Deno.test("wishes of pod and network configuration are joined, and may say the same twice", async () => {
  const { wishes } = gather({
    config: {
      domain: "tenant-b",
      runtimeConfig: { ips: ["fd00::7", "10.150.0.7/26"], mac: null },
      args: { cni: { ips: ["10.150.0.7/26", "fd00:0::7"] } },
    },
    args: "MAC=02:00:00:00:00:0A",
    annotations: { "cni.pyroute2.org/mac": "02:00:00:00:00:0a" },
  });
  const { domain, mac, addresses } = await wishes;
  assert.deepEqual([domain, mac], ["tenant-b", "02:00:00:00:00:0a"]);
  assert.deepEqual(addresses.map(({ address }) => address).toSorted(), ["10.150.0.7", "fd00::7"]);
});

Deno.test("annotations that the runtime hands over are used without looking the pod up", async () => {
  const config = {
    runtimeConfig: { "io.kubernetes.cri.pod-annotations": ips("10.150.0.7") },
  };
  const { wishes, lookups } = gather({ config });
  assert.deepEqual((await wishes).addresses, [{ address: "10.150.0.7" }]);
  assert.equal(lookups(), 0);
});

Deno.test("a container without a pod wishes for nothing", async () => {
  assert.deepEqual(await gather({}).wishes, { addresses: [] });
});

Deno.test("only a StatefulSet's pod keeps its address: no other comes back under its name", async () => {
  const annotations = { "cni.pyroute2.org/keep-address": "true" };
  await refused({ annotations }, "InvalidConfig", /StatefulSet.*without a controller/);
  await refused({ annotations, owner: "ReplicaSet" }, "InvalidConfig", /of the kind "ReplicaSet"/);
  const set = { annotations, owner: "StatefulSet" };
  assert.equal((await gather(set).wishes).keep, "strict");
  // On every interface of the pod, whoever makes the first.
  assert.equal((await gather({ ...set, ifname: "net1" }).wishes).keep, "strict");
});

Deno.test("whose a pod is does not come from the runtime: it is looked up where that matters", async () => {
  const annotations = { "cni.pyroute2.org/keep-address": "true" };
  const config = { runtimeConfig: { "io.kubernetes.cri.pod-annotations": annotations } };
  const { wishes, lookups } = gather({ config, annotations: {}, owner: "StatefulSet" });
  assert.equal((await wishes).keep, "strict");
  assert.equal(lookups(), 1);
  await refused({ config }, "InvalidConfig", /without a controller/);
});
