import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import { parseConfig } from "../../daemon/config.ts";
import { cniConfigKind } from "../../daemon/resources/cni_config.ts";
import { ownKinds } from "../../daemon/resources/registry.ts";
import { permissions, ruleOf, serviceAccount } from "../../manifests/rbac.ts";
import { seccompProfiles } from "../../manifests/seccomp.ts";

const root = new URL("../..", import.meta.url).pathname;

const manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
type AnyManifest = z.infer<typeof manifest>;

const mount = z.object({
  name: z.string(),
  mountPath: z.string(),
  mountPropagation: z.string().optional(),
});
const probe = z.looseObject({ httpGet: z.object({ host: z.string(), path: z.string() }) });
const container = z.looseObject({
  name: z.string(),
  command: z.array(z.string()).optional(),
  args: z.array(z.string()).optional(),
  image: z.string(),
  resources: z.object({ requests: z.object({ cpu: z.string(), memory: z.string() }) }),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  volumeMounts: z.array(mount),
  ports: z.array(z.object({ containerPort: z.number() })).optional(),
  securityContext: z.looseObject({
    privileged: z.boolean().optional(),
    capabilities: z.object({ drop: z.array(z.string()), add: z.array(z.string()).optional() }),
  }),
});
const podSpec = z.looseObject({
  hostPID: z.boolean(),
  hostNetwork: z.boolean(),
  priorityClassName: z.string(),
  automountServiceAccountToken: z.boolean(),
  serviceAccountName: z.string(),
  tolerations: z.array(z.unknown()),
  initContainers: z.array(container),
  containers: z.array(container),
  volumes: z.array(z.looseObject({
    name: z.string(),
    hostPath: z.object({ path: z.string() }).optional(),
  })),
});
const daemonSet = z.looseObject({
  spec: z.looseObject({ template: z.looseObject({ spec: podSpec }) }),
});
const localhost = z.object({ type: z.literal("Localhost"), localhostProfile: z.string() });
const configMap = z.looseObject({ data: z.record(z.string(), z.string()) });

async function kustomize(directory: string): Promise<readonly AnyManifest[]> {
  const { success, stdout, stderr } = await new Deno.Command("kubectl", {
    args: ["kustomize", new URL(directory, new URL("manifests/", `file://${root}`)).pathname],
  }).output();
  assert.ok(success, new TextDecoder().decode(stderr));
  return parseAllDocuments(new TextDecoder().decode(stdout)).map((document) => {
    assert.deepEqual(document.errors, []);
    return manifest.parse(document.toJS());
  });
}

function find(all: readonly AnyManifest[], kind: string, name: string): AnyManifest {
  const found = all.filter((entry) => entry.kind === kind && entry.metadata.name === name);
  const [only] = found;
  assert.ok(only !== undefined && found.length === 1, `${found.length} of ${kind} ${name}`);
  return only;
}

function podOf(all: readonly AnyManifest[]): z.infer<typeof podSpec> {
  return daemonSet.parse(find(all, "DaemonSet", "pyroute2-cni")).spec.template.spec;
}

async function* yamlFiles(directory: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) yield* yamlFiles(path);
    else if (name.endsWith(".yaml")) yield path;
  }
}

Deno.test("Every YAML file of the manifests and the examples parses", async () => {
  let files = 0;
  for (const directory of ["manifests", "docs/examples"]) {
    for await (const path of yamlFiles(root + directory)) {
      for (const document of parseAllDocuments(await Deno.readTextFile(path))) {
        assert.deepEqual(document.errors, [], path);
      }
      files += 1;
    }
  }
  assert.ok(files > ownKinds.length * 2, `${files}`);
});

for (const [directory, backend] of [["base", "device"], ["netns", "netns"]] as const) {
  Deno.test(`manifests/${directory} renders with all definitions, and with a configuration that the daemon takes`, async () => {
    const all = await kustomize(directory);
    const definitions = all.filter(({ kind }) => kind === "CustomResourceDefinition");
    assert.equal(definitions.length, ownKinds.length);
    const { data } = configMap.parse(find(all, "ConfigMap", "server-config"));
    const config = parseConfig(data["server.ini"] ?? "no server.ini");
    assert.equal(config.node.vrf_backend, backend);
    const { readiness, api } = config;
    const daemon = podOf(all).containers.find(({ name }) => name === "pyroute2-cni");
    assert.equal(daemon?.ports?.[0]?.containerPort, readiness.port);
    assert.equal(daemon?.readinessProbe?.httpGet.host, readiness.host);
    assert.deepEqual(api, parseConfig("").api, "the plugin looks for the sockets where they are");
  });

  Deno.test(`manifests/${directory} mounts only volumes that there are, and all of them`, async () => {
    const pod = podOf(await kustomize(directory));
    const mounted = [...pod.initContainers, ...pod.containers].flatMap((entry) =>
      entry.volumeMounts.map(({ name }) => name)
    );
    assert.deepEqual(
      [...new Set(mounted)].toSorted(),
      pod.volumes.map(({ name }) => name).toSorted(),
    );
  });
}

Deno.test("The DaemonSet has both containers on every node, probed, and nothing of the host that it does not need", async () => {
  const pod = podOf(await kustomize("base"));
  assert.deepEqual(pod.containers.map(({ name }) => name), ["pyroute2-cni", "pyroute2-frr"]);
  assert.deepEqual(pod.containers.map(({ ports }) => ports?.[0]?.containerPort), [24800, 24801]);
  for (const { livenessProbe, readinessProbe } of pod.containers) {
    assert.equal(livenessProbe?.httpGet.path, "/livez");
    assert.equal(readinessProbe?.httpGet.path, "/readyz");
  }
  assert.deepEqual(pod.tolerations, [{ operator: "Exists" }]);
  assert.equal(pod.priorityClassName, "system-node-critical");
  assert.ok(pod.hostPID && pod.hostNetwork);
  assert.deepEqual(
    pod.volumes.flatMap(({ hostPath }) => hostPath === undefined ? [] : [hostPath.path]).toSorted(),
    ["/etc/cni/net.d", "/opt/cni/bin", "/run/netns", "/run/pyroute2"],
  );
  for (const { securityContext } of [...pod.initContainers, ...pod.containers]) {
    assert.notEqual(securityContext.privileged, true);
    assert.deepEqual(securityContext.capabilities.drop, ["ALL"]);
  }
});

Deno.test("The daemon has three capabilities and writes to its mounts alone; the pod has the time that a stop takes", async () => {
  const { spec } = daemonSet.parse(find(await kustomize("base"), "DaemonSet", "pyroute2-cni"));
  const pod = spec.template.spec;
  const daemon = pod.containers.find(({ name }) => name === "pyroute2-cni");
  // As many as the systemd unit leaves to it, where that is tried (tests/systemd).
  assert.deepEqual(daemon?.securityContext.capabilities.add, ["NET_ADMIN", "NET_RAW", "SYS_ADMIN"]);
  assert.equal(daemon?.securityContext["readOnlyRootFilesystem"], true);
  assert.ok(Number(pod["terminationGracePeriodSeconds"]) > 20);
  assert.ok(Number(spec["minReadySeconds"]) > 0);
  assert.deepEqual(pod["nodeSelector"], {
    "kubernetes.io/os": "linux",
    "kubernetes.io/arch": "amd64",
  });
  for (const { name, resources } of [...pod.initContainers, ...pod.containers]) {
    assert.ok(resources.requests.memory.endsWith("Mi"), name);
  }
});

Deno.test("Each container writes to its mounts alone, can gain no privilege, and has a seccomp profile", async () => {
  const pod = podOf(await kustomize("base"));
  for (const { name, securityContext } of [...pod.initContainers, ...pod.containers]) {
    assert.equal(securityContext["readOnlyRootFilesystem"], true, name);
    assert.equal(securityContext["allowPrivilegeEscalation"], false, name);
    assert.deepEqual(securityContext["seccompProfile"], { type: "RuntimeDefault" }, name);
  }
});

Deno.test("With the component the containers have the project's profiles, which an init container puts where the kubelet looks", async () => {
  const all = await kustomize("../tests/manifests/confined");
  const pod = podOf(all);
  const files = seccompProfiles();
  const names = pod.containers.map(({ securityContext }) =>
    localhost.parse(securityContext["seccompProfile"]).localhostProfile
  );
  assert.deepEqual(names, [...files.keys()].map((file) => `pyroute2-cni/${file}`));
  const [first, ...others] = pod.initContainers;
  assert.equal(first?.name, "seccomp-profiles");
  assert.equal(first.image, pod.containers[0]?.image);
  for (const { securityContext } of [first, ...others]) {
    assert.deepEqual(securityContext["seccompProfile"], { type: "RuntimeDefault" });
  }
  const source = z.object({ configMap: z.object({ name: z.string() }) })
    .parse(pod.volumes.find(({ name }) => name === "seccomp-profiles"));
  const { data } = configMap.parse(find(all, "ConfigMap", source.configMap.name));
  const target = pod.volumes.find(({ name }) => name === "kubelet-seccomp")?.hostPath?.path;
  assert.equal(target, "/var/lib/kubelet/seccomp/pyroute2-cni");
  const folder = await Deno.makeTempDir({ prefix: "pr2t-seccomp-" });
  try {
    for (const [name, text] of Object.entries(data)) {
      await Deno.writeTextFile(`${folder}/${name}`, text);
    }
    const [shell = "", option = "", script = ""] = first.command ?? [];
    await Deno.mkdir(`${folder}/host`);
    const here = script.replaceAll("/profiles/", `${folder}/`)
      .replaceAll("/host/seccomp/", `${folder}/host/`);
    const { success, stderr } = await new Deno.Command(shell, { args: [option, here] }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const put = [...Deno.readDirSync(`${folder}/host`)].map(({ name }) => name).toSorted();
    assert.deepEqual(put, [...files.keys()]);
    for (const [name, profile] of files) {
      assert.deepEqual(JSON.parse(await Deno.readTextFile(`${folder}/host/${name}`)), profile);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("What a container's command names of the host is mounted there", async () => {
  const pod = podOf(await kustomize("base"));
  const named = pod.initContainers.flatMap(({ command = [], args = [], volumeMounts }) =>
    [...command, ...args].filter((word) => word.startsWith("/host/")).map((path) => ({
      path,
      mounted: volumeMounts.some(({ mountPath }) => path === mountPath),
    }))
  );
  assert.deepEqual(named, [
    { path: "/host/opt/cni/bin", mounted: true },
    { path: "/host/etc/frr", mounted: true },
  ]);
});

Deno.test("The init container's command installs the plugin, with no capability and nothing else writable", async () => {
  const pod = podOf(await kustomize("base"));
  const [init] = pod.initContainers;
  assert.deepEqual(init?.securityContext.capabilities, { drop: ["ALL"] });
  const directory = await Deno.makeTempDir({ prefix: "pr2t-cni-bin-" });
  try {
    const args = (init.args ?? []).map((arg) => arg === "/host/opt/cni/bin" ? directory : arg);
    const script =
      'mount --bind "$0" "$0" && mount -o remount,bind,ro / && mount -t tmpfs -o ro tmpfs /run && exec "$@"';
    const { success, stderr } = await new Deno.Command("unshare", {
      args: [
        ...["--mount", "sh", "-ec", script, directory],
        ...["setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"],
        ...[`${root}dist/pyroute2-cni`, ...args],
      ],
      env: { HOME: "/nonexistent" },
    }).output();
    assert.ok(success, new TextDecoder().decode(stderr));
    const { code, stdout } = await new Deno.Command(`${directory}/pyroute2-cni-plugin`, {
      clearEnv: true,
      env: { CNI_COMMAND: "VERSION" },
      stdin: "null",
    }).output();
    assert.equal(code, 0);
    assert.match(new TextDecoder().decode(stdout), /supportedVersions/);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("Only the daemon has the API's token", async () => {
  const pod = podOf(await kustomize("base"));
  assert.equal(pod.automountServiceAccountToken, false);
  const holders = [...pod.initContainers, ...pod.containers].filter(({ volumeMounts }) =>
    volumeMounts.some(({ mountPath }) => mountPath.includes("serviceaccount"))
  );
  assert.deepEqual(holders.map(({ name }) => name), ["pyroute2-cni"]);
  assert.equal(pod.serviceAccountName, serviceAccount.name);
});

/** A rule as text, whatever the order of its keys. */
function ruleText(namespace: string | undefined, rule: Readonly<Record<string, unknown>>): string {
  return JSON.stringify([namespace, Object.entries(rule).toSorted()]);
}

Deno.test("The roles hold what manifests/rbac.ts says and no wildcard, and so does their page", async () => {
  const rules = z.array(z.record(z.string(), z.array(z.string())));
  const all = await kustomize("base");
  const found = all.filter(({ kind }) => kind === "ClusterRole" || kind === "Role")
    .flatMap((role) =>
      rules.parse(role["rules"]).map((rule) => ruleText(role.metadata.namespace, rule))
    );
  const expected = permissions.map((entry) => ruleText(entry.namespace, ruleOf(entry)));
  assert.deepEqual(found.toSorted(), expected.toSorted());
  assert.ok(!found.join().includes("*"));
  const page = await Deno.readTextFile(`${root}docs/rbac.md`);
  assert.deepEqual(permissions.filter(({ why }) => !page.includes(why)), []);
});

Deno.test("FRR's daemons file of the netns variant is the usual one with --vrfwnetns", async () => {
  const lines = async (path: string) =>
    (await Deno.readTextFile(root + path)).split("\n").filter((line) => /^[a-z]/.test(line));
  const usual = (await lines("frr/daemons")).map((line) =>
    line.startsWith("zebra_options") ? line.replace(/"$/, ' --vrfwnetns"') : line
  );
  assert.deepEqual(await lines("manifests/netns/daemons"), usual);
});

Deno.test("The netns variant differs from the base's configuration in the backend alone", async () => {
  const iniOf = async (path: string) => {
    const [first] = parseAllDocuments(await Deno.readTextFile(root + path));
    return parseConfig(configMap.parse(first?.toJS()).data["server.ini"] ?? "none");
  };
  const base = await iniOf("manifests/base/config.yaml");
  const expected = { ...base, node: { ...base.node, vrf_backend: "netns" } };
  assert.deepEqual(await iniOf("manifests/netns/config.yaml"), expected);
});

Deno.test("The CNIConfig that comes with the install is one that the daemon takes, and names the plugin", async () => {
  const config = cniConfigKind.schema.parse(find(await kustomize("cni"), "CNIConfig", "pyroute2"));
  assert.deepEqual(config.spec.plugins.map(({ type }) => type), ["pyroute2-cni-plugin", "portmap"]);
});
