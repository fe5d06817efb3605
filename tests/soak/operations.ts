/** What a soak does: one thing after the other, as a value that can be printed and replayed. */

/** Programs of FRR that are killed. */
export const frrPrograms = ["zebra", "bgpd", "staticd"] as const;

/** What is deleted by hand of a domain on a node. */
export const handDeletions = ["vxlan", "bridge", "host leg", "addresses", "routes"] as const;

/**
 * An operation. Pods are counted from 0, nodes too.
 *
 * - `add`, `del`, `del twice`, `check`: what a runtime calls; a call that fails is made again, after a failed ADD a DEL, as runtimes do
 * - `add again`: ADD for a container that is attached; must be refused
 * - `del unknown`: DEL for a container that is not attached
 * - `cut add`: the plugin is killed after so many milliseconds; then DEL, or the container's namespace vanishes
 * - `vanish`: the container's namespace vanishes, and nobody says DEL
 * - `unplug`: someone deletes the pod's link on the node; then DEL
 * - `gc`: the runtime lists all attachments of the node but the dropped ones
 * - `reboot`: all that runs on the node, its links, namespaces and files on /run go at once; then FRR's agent and the daemon start, and the kubelet
 *   makes its pods anew but for those that nobody wants any more; of the containers of before it says DEL, or nothing
 * - `kill daemon`, `kill frr`, `kill agent`: kill -9; watchfrr starts FRR's programs again, the soak the others
 * - `cut api`, `start api`: kill -9 of the API server, and its start
 * - `delete`, `delete rule`, `delete firewall`: what a person deletes on the node
 * - `create domain`, `delete domain`: a domain without pods
 * - `bind`: the binding of a namespace leads to another tenant from now on
 */
export type Operation =
  | {
    readonly kind:
      | "add"
      | "del"
      | "del twice"
      | "check"
      | "add again"
      | "del unknown"
      | "vanish"
      | "unplug";
    readonly pod: number;
  }
  | {
    readonly kind: "cut add";
    readonly pod: number;
    readonly ms: number;
    readonly then: "del" | "vanish";
  }
  | { readonly kind: "gc"; readonly node: number; readonly dropped: readonly number[] }
  | {
    readonly kind: "reboot";
    readonly node: number;
    readonly dropped: readonly number[];
    readonly says: "del" | "nothing";
  }
  | { readonly kind: "kill daemon" | "kill agent" | "delete firewall"; readonly node: number }
  | {
    readonly kind: "kill frr";
    readonly node: number;
    readonly program: (typeof frrPrograms)[number];
  }
  | { readonly kind: "cut api" | "start api" }
  | {
    readonly kind: "delete";
    readonly node: number;
    readonly domain: string;
    readonly what: (typeof handDeletions)[number];
  }
  | { readonly kind: "delete rule"; readonly node: number; readonly nth: number }
  | { readonly kind: "create domain" | "delete domain"; readonly domain: string }
  | { readonly kind: "bind"; readonly tenant: string };

/** An operation in one line. */
export function describe(operation: Operation): string {
  const { kind, ...rest } = operation;
  const words = Object.entries(rest).map(([name, value]) =>
    `${name}=${Array.isArray(value) ? value.join(",") : value}`
  );
  return [kind, ...words].join(" ");
}
