/** Deployments and StatefulSets of web servers whose pods the kubelet looks after by HTTP, and what the API tells of them. */
import { z } from "zod";
import { imageName } from "../../containerd/root_file_system.ts";
import type { Lab } from "../../lab/lab.ts";
import { kubectl } from "../../lab/machines.ts";

/** TCP port of the web servers. */
export const webPort = 8080;

/** What the kubelet asks for: a pod without this file is not ready. */
export const readyFile = "/tmp/ready";

/** And a container without this one is ended. */
export const aliveFile = "/tmp/alive";

const script = `hostname > /tmp/index.html; touch ${readyFile} ${aliveFile}
exec httpd -f -p ${webPort} -h /tmp`;

function httpGet(path: string): unknown {
  return {
    httpGet: { path, port: webPort },
    periodSeconds: 1,
    timeoutSeconds: 5,
    failureThreshold: 3,
  };
}

/** A Deployment as JSON. Each of its pods answers `/` with its own name. */
export function deployment(namespace: string, replicas: number): string {
  return workload("Deployment", "web", namespace, replicas);
}

/** A StatefulSet of one pod as JSON, which answers as a Deployment's do. */
export function statefulSet(
  name: string,
  namespace: string,
  annotations: Readonly<Record<string, string>>,
): string {
  return workload("StatefulSet", name, namespace, 1, annotations);
}

function workload(
  kind: "Deployment" | "StatefulSet",
  name: string,
  namespace: string,
  replicas: number,
  annotations: Readonly<Record<string, string>> = {},
): string {
  const labels = { app: name };
  return JSON.stringify({
    apiVersion: "apps/v1",
    kind,
    metadata: { name, namespace },
    spec: {
      replicas,
      ...kind === "StatefulSet" ? { serviceName: name } : {},
      selector: { matchLabels: labels },
      template: {
        metadata: { labels, annotations },
        spec: {
          dnsPolicy: "Default",
          // PID 1 of a container hears no SIGTERM that it does not handle.
          terminationGracePeriodSeconds: 0,
          containers: [{
            name: "web",
            image: imageName,
            imagePullPolicy: "Never",
            command: ["/bin/sh", "-c", script],
            readinessProbe: httpGet("/ready"),
            livenessProbe: httpGet("/alive"),
          }],
        },
      },
    },
  });
}

/** A Service for the pods of a Deployment, on port 80, as JSON. */
export function service(namespace: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "web", namespace },
    spec: { selector: { app: "web" }, ports: [{ port: 80, targetPort: webPort }] },
  });
}

const conditionsSchema = z.array(z.object({
  type: z.string(),
  status: z.string(),
  message: z.string().default(""),
})).default([]);

const podsSchema = z.object({
  items: z.array(z.object({
    metadata: z.object({
      name: z.string(),
      namespace: z.string(),
      uid: z.string(),
      deletionTimestamp: z.string().optional(),
    }),
    status: z.object({
      podIP: z.string().default(""),
      conditions: conditionsSchema,
      containerStatuses: z.array(z.object({
        containerID: z.string().default(""),
        restartCount: z.number(),
      })).default([]),
    }),
  })),
});

/** A pod as the API tells of it. */
export interface PodState {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  /** Its address; empty as long as it has none. */
  readonly address: string;
  readonly ready: boolean;
  /** Whether the scheduler has found no node for it. */
  readonly unscheduled: boolean;
  /** Whether it is being deleted. */
  readonly ending: boolean;
  /** Id of its first container. */
  readonly container: string;
  /** How often its containers were started anew. */
  readonly restarts: number;
}

/** The pods of a namespace, in the order of their names. */
export async function podsOf(lab: Lab, namespace: string): Promise<PodState[]> {
  const answer = await kubectl(lab, ["-n", namespace, "get", "pods", "-o", "json"]);
  return podsSchema.parse(JSON.parse(answer)).items.map(({ metadata, status }) => ({
    name: metadata.name,
    namespace: metadata.namespace,
    uid: metadata.uid,
    address: status.podIP,
    ready: has(status.conditions, "Ready", "True"),
    unscheduled: has(status.conditions, "PodScheduled", "False"),
    ending: metadata.deletionTimestamp !== undefined,
    container: status.containerStatuses[0]?.containerID ?? "",
    restarts: status.containerStatuses.reduce((sum, { restartCount }) => sum + restartCount, 0),
  }));
}

function has(conditions: z.infer<typeof conditionsSchema>, type: string, status: string): boolean {
  return conditions.some((condition) => condition.type === type && condition.status === status);
}

const nodeSchema = z.object({ status: z.object({ conditions: conditionsSchema }) });

/** Why a node is not ready, in the kubelet's words; undefined when it is ready or nobody has said anything. */
export async function unreadyMessage(lab: Lab, node: string): Promise<string | undefined> {
  const answer = await kubectl(lab, ["get", "node", node, "-o", "json"]);
  const { conditions } = nodeSchema.parse(JSON.parse(answer)).status;
  return conditions.find(({ type, status }) => type === "Ready" && status === "False")?.message;
}
