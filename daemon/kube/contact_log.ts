import type { Logger } from "../log.ts";
import type { KubeError, KubeErrorCode } from "./kube_error.ts";

/** Tells of resources that cannot be followed: once what many suffer from at a time, such as a server that is away. */
export interface ContactLog {
  /** List or watch of a resource has failed. */
  lost(resource: string, error: KubeError): void;
  /** List and watch of a resource work. */
  regained(resource: string): void;
}

/** Makes a {@linkcode ContactLog}; all caches of a connection share one. */
export function createContactLog(log: Logger): ContactLog {
  const failing = new Map<string, KubeErrorCode>();
  const isShared = (code: KubeErrorCode) => [...failing.values()].includes(code);
  return {
    lost(resource, { code, message }) {
      if (failing.get(resource) === code) return;
      const level = isShared(code) ? "debug" : "warn";
      failing.set(resource, code);
      log[level]("List and watch failed", { resource, code, error: message });
    },
    regained(resource) {
      const code = failing.get(resource);
      if (code === undefined) return;
      failing.delete(resource);
      log[isShared(code) ? "debug" : "info"]("List and watch work again", { resource, code });
    },
  };
}
