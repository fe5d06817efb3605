import assert from "node:assert/strict";
import { join } from "node:path";
import { startApiServer } from "../../daemon/apiserver/server.ts";
import { createLogger } from "../../daemon/log.ts";

const examples = new URL("../../docs/examples", import.meta.url).pathname;

interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Kubectl {
  /** Runs kubectl and takes any outcome. */
  try(args: readonly string[], stdin?: string): Promise<Output>;
  /** Runs kubectl, which must succeed; returns what it printed. */
  run(args: readonly string[], stdin?: string): Promise<string>;
  /** Starts kubectl with its output to read line by line. */
  follow(args: readonly string[]): Deno.ChildProcess;
}

async function withKubectl(use: (kubectl: Kubectl) => Promise<void>): Promise<void> {
  const home = await Deno.makeTempDir({ prefix: "pr2t-" });
  try {
    await using server = await startApiServer({
      dataDir: join(home, "data"),
      host: "127.0.0.1",
      port: 0,
      log: createLogger("error", (line) => console.error(line)),
    });
    // kubectl caches discovery under HOME.
    const env = { HOME: home, KUBECONFIG: server.kubeconfigPath };
    const attempt: Kubectl["try"] = async (args, stdin = "") => {
      const io = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
      const child = new Deno.Command("kubectl", { args: [...args], env, ...io }).spawn();
      const writer = child.stdin.getWriter();
      // kubectl may end without reading all of it.
      await writer.write(new TextEncoder().encode(stdin)).then(() => writer.close()).catch(
        () => {},
      );
      const { code, stdout, stderr } = await child.output();
      const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
      return { code, stdout: decode(stdout), stderr: decode(stderr) };
    };
    await use({
      try: attempt,
      run: async (args, stdin) => {
        const { code, stdout, stderr } = await attempt(args, stdin);
        assert.equal(code, 0, `kubectl ${args.join(" ")}: ${stderr}`);
        return stdout;
      },
      follow: (args) =>
        new Deno.Command("kubectl", { args: [...args], env, stdout: "piped", stderr: "null" })
          .spawn(),
    });
  } finally {
    await Deno.remove(home, { recursive: true });
  }
}

async function example(name: string): Promise<string> {
  return await Deno.readTextFile(join(examples, name));
}

/** Columns of the lines that kubectl prints, split where at least two blanks are. */
function columns(text: string): string[][] {
  return text.trim().split("\n").map((line) => line.trim().split(/\s{2,}/));
}

Deno.test("kubectl is told what is wrong with an object that it applies", () =>
  withKubectl(async (kubectl) => {
    const bad = (await example("vrfdomain.yaml")).replace("l3vni", "vlan");
    const { code, stderr } = await kubectl.try(["apply", "-f", "-"], bad);
    assert.equal(code, 1);
    assert.match(stderr, /The VRFDomain "vrf-200" is invalid: spec\.attachments\[0\]\.type/);
    const missing = await kubectl.try(["get", "vrd", "none"]);
    assert.match(missing.stderr, /\(NotFound\): vrfdomains\.cni\.pyroute2\.org "none" not found/);
  }));

Deno.test("kubectl applies all examples, changes nothing the second time, and deletes them", () =>
  withKubectl(async (kubectl) => {
    const files: string[] = [];
    for await (const { name } of Deno.readDir(examples)) files.push(name);
    const ends = async (args: string[]) => {
      const lines = (await kubectl.run(args)).trim().split("\n");
      return [lines.length, [...new Set(lines.map((line) => line.split(" ").at(-1)))]];
    };
    assert.deepEqual(await ends(["apply", "-f", examples]), [files.length, ["created"]]);
    assert.deepEqual(await ends(["apply", "-f", examples]), [files.length, ["unchanged"]]);
    const changed = (await example("vrfdomain.yaml")).replace("vni: 50200", "vni: 50201");
    assert.match(await kubectl.run(["apply", "-f", "-"], changed), /vrf-200 configured/);
    const vni = ["get", "vrd", "vrf-200", "-o", "jsonpath={.spec.attachments[0].vni}"];
    assert.equal(await kubectl.run(vni), "50201");
    assert.deepEqual(await ends(["delete", "-f", examples]), [files.length, ["deleted"]]);
  }));

Deno.test("kubectl shows the printer columns of each kind by its short name", () =>
  withKubectl(async (kubectl) => {
    await kubectl.run(["apply", "-f", examples]);
    const shown = async (name: string) => columns(await kubectl.run(["get", name]));
    assert.deepEqual((await shown("vrd"))[0], [
      "NAME",
      "VRF",
      "TABLE",
      "PREFIX",
      "PREFIXLEN",
      "IPBLOCKLEN",
      "PREFIX6",
      "READY",
      "AGE",
    ]);
    assert.deepEqual((await shown("vrd"))[1]?.slice(0, 6), [
      "vrf-200",
      "200",
      "2200",
      "10.150.0.0",
      "16",
      "26",
    ]);
    assert.deepEqual((await shown("vrb"))[1]?.slice(0, 3), ["vrf-200", "tenant-a", "vrf-200"]);
    assert.deepEqual((await shown("vrnc"))[0], [
      "NAME",
      "ROUTERID",
      "ROUTEREFLECTORS",
      "INTERFACES",
      "ACCEPTED",
      "READY",
      "AGE",
    ]);
    assert.deepEqual((await shown("vrp"))[0], [
      "NAME",
      "VRFDOMAIN",
      "ACCEPTED",
      "READY",
      "AGE",
    ]);
    assert.deepEqual((await shown("cnic"))[1]?.slice(0, 3), ["default", "true", "100"]);
    assert.deepEqual((await shown("cnics"))[1]?.slice(0, 2), ["default", "default"]);
    assert.deepEqual((await shown("vrns"))[0], ["NAME", "READY", "DOMAINS", "PEERSUP", "AGE"]);
    assert.deepEqual((await shown("ipb"))[1]?.slice(0, 4), [
      "vrf-200-10-150-0-0-26",
      "10.150.0.0/26",
      "node-a",
      "200",
    ]);
  }));

Deno.test("kubectl describes an object with its events, and a pod and namespace too", () =>
  withKubectl(async (kubectl) => {
    await kubectl.run(["apply", "-f", join(examples, "vrfdomain.yaml")]);
    const uid = await kubectl.run(["get", "vrd", "vrf-200", "-o", "jsonpath={.metadata.uid}"]);
    const objects = `
apiVersion: v1
kind: Namespace
metadata: { name: tenant-a }
---
apiVersion: v1
kind: Pod
metadata: { name: pod-a, namespace: tenant-a }
spec: { nodeName: node-a, containers: [{ name: main, image: busybox }] }
---
apiVersion: v1
kind: Event
metadata: { name: vrf-200.1, namespace: default }
involvedObject: { apiVersion: cni.pyroute2.org/v1alpha1, kind: VRFDomain, name: vrf-200, uid: ${uid} }
reason: Applied
message: Every node has applied it
type: Normal
count: 1
firstTimestamp: "2026-01-01T00:00:00Z"
lastTimestamp: "2026-01-01T00:00:00Z"
source: { component: pyroute2-cni }
`;
    await kubectl.run(["apply", "-f", "-"], objects);
    const described = await kubectl.run(["describe", "vrd", "vrf-200"]);
    assert.match(described, /Vni: +50200/);
    assert.match(described, /Applied .* Every node has applied it/);
    assert.match(
      await kubectl.run(["describe", "pod", "-n", "tenant-a", "pod-a"]),
      /Status: +Pending/,
    );
    assert.match(await kubectl.run(["describe", "ns", "tenant-a"]), /Status: +Active/);
    await kubectl.run(["delete", "ns", "tenant-a"]);
    assert.equal((await kubectl.try(["get", "pod", "-n", "tenant-a", "pod-a"])).code, 1);
  }));

Deno.test("kubectl patches, labels, creates namespaces and applies on the server's side", () =>
  withKubectl(async (kubectl) => {
    await kubectl.run(["create", "namespace", "tenant-a"]);
    await kubectl.run(["get", "namespace", "tenant-a"]);
    const file = join(examples, "vrfdomain.yaml");
    await kubectl.run(["apply", "--server-side", "-f", file]);
    await kubectl.run([
      "patch",
      "vrd",
      "vrf-200",
      "--type=merge",
      "-p",
      '{"metadata":{"annotations":{"example.org/a":"1"}}}',
    ]);
    await kubectl.run(["label", "vrd", "vrf-200", "tier=front"]);
    const shown = columns(await kubectl.run(["get", "vrd", "-l", "tier=front"]));
    assert.equal(shown[1]?.[5], "26");
    assert.equal((await kubectl.run(["auth", "can-i", "create", "vrd"])).trim(), "yes");
  }));

Deno.test("kubectl get -w shows each change", () =>
  withKubectl(async (kubectl) => {
    await kubectl.run(["apply", "-f", join(examples, "vrfdomain.yaml")]);
    const child = kubectl.follow(["get", "vrd", "--watch", "--no-headers"]);
    const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    const until = async (pattern: RegExp) => {
      while (!pattern.test(text)) {
        const { done, value } = await lines.read();
        assert.ok(done === false, `kubectl ended before ${pattern}: ${text}`);
        text += value;
      }
    };
    try {
      await until(/vrf-200 .* 26 /);
      const ready = {
        type: "Ready",
        status: "True",
        reason: "Applied",
        message: "",
        lastTransitionTime: "2026-01-01T00:00:00Z",
      };
      await kubectl.run([
        "patch",
        "vrd",
        "vrf-200",
        "--subresource=status",
        "--type=merge",
        "-p",
        JSON.stringify({ status: { conditions: [ready] } }),
      ]);
      await until(/vrf-200 .* 26 +True /);
    } finally {
      child.kill("SIGTERM");
      await lines.cancel();
      await child.status;
    }
  }));
