import { messageOf } from "../../lib/errors.ts";
import type { Logger } from "../log.ts";
import type { Event } from "../resources/core.ts";
import { rfc3339Seconds } from "../resources/conditions.ts";
import { isKubeError } from "./kube_error.ts";
import type { KubeObject, ResourceClient } from "./port.ts";

/** What an event says. */
export interface EventText {
  /** `Normal`, or `Warning` for what someone should look at. */
  readonly type: "Normal" | "Warning";
  /** Why, as one CamelCase word. */
  readonly reason: string;
  /** For a person. */
  readonly message: string;
}

/** What the recorder works with. */
export interface EventRecorderOptions {
  /** Client of the resource Event. */
  readonly client: ResourceClient<Event>;
  /** Who says so, such as `pyroute2-cni`. */
  readonly component: string;
  /** Name of the node. */
  readonly host: string;
  /** For events that cannot be written. */
  readonly log: Logger;
  /** Ends the recorder. */
  readonly signal: AbortSignal;
  /** Least time between two writes of the same event, in milliseconds; 60 000 when absent. */
  readonly repeatMs?: number;
  /** The clock. */
  readonly now?: () => Date;
}

/** Records events of core/v1, for `kubectl describe`. */
export interface EventRecorder {
  /** Records an event about an object. Never fails and never waits; repeats are counted in the same event. */
  record(about: KubeObject, text: EventText): void;
  /** Resolves once what was recorded so far is written or given up. */
  flush(): Promise<void>;
}

interface Recorded {
  readonly name: string;
  readonly firstTimestamp: string;
  count: number;
  writtenAt: number;
}

const mostRecorded = 1_000;
const mostWaiting = 100;

/** Makes a recorder. */
export function createEventRecorder(options: EventRecorderOptions): EventRecorder {
  const { client, log, signal, now = () => new Date(), repeatMs = 60_000 } = options;
  const recorded = new Map<string, Recorded>();
  let waiting = 0;
  let last: Promise<void> = Promise.resolve();

  const write = async (about: KubeObject, text: EventText, entry: Recorded): Promise<void> => {
    const namespace = about.metadata.namespace ?? "default";
    const lastTimestamp = rfc3339Seconds(now());
    try {
      if (entry.count > 1) {
        await client.patch(
          `${namespace}/${entry.name}`,
          { count: entry.count, lastTimestamp },
          signal,
        );
        return;
      }
    } catch (thrown) {
      // A server drops events after an hour.
      if (!isKubeError(thrown, "NotFound")) throw thrown;
    }
    await client.create({
      metadata: { name: entry.name, namespace },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name: about.metadata.name,
        namespace: about.metadata.namespace,
        uid: about.metadata.uid,
      },
      ...text,
      count: entry.count,
      firstTimestamp: entry.firstTimestamp,
      lastTimestamp,
      source: { component: options.component, host: options.host },
    }, signal);
  };

  return {
    record(about, text) {
      const { uid, name } = about.metadata;
      const key = JSON.stringify([about.kind, name, uid, text.type, text.reason, text.message]);
      const entry = recorded.get(key) ?? {
        name: `${name}.${crypto.randomUUID().replaceAll("-", "").slice(0, 16)}`,
        firstTimestamp: rfc3339Seconds(now()),
        count: 0,
        writtenAt: -Infinity,
      };
      entry.count += 1;
      recorded.delete(key);
      recorded.set(key, entry);
      for (const oldest of recorded.keys()) {
        if (recorded.size <= mostRecorded) break;
        recorded.delete(oldest);
      }
      if (signal.aborted || waiting >= mostWaiting) return;
      if (performance.now() - entry.writtenAt < repeatMs) return;
      entry.writtenAt = performance.now();
      waiting += 1;
      last = last.then(() => write(about, text, { ...entry })).catch((error) => {
        if (!signal.aborted) log.warn("An event could not be written", { error: messageOf(error) });
      }).finally(() => waiting -= 1);
    },
    flush: () => last,
  };
}
