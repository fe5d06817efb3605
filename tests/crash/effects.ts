/**
 * Names everything that a daemon changes outside its own memory while it serves a command, in order: rows of the journal, rtnetlink
 * requests, sysctls, requests to the API that write, and its answers. The daemon itself knows nothing of this: what it reaches the
 * outside by is wrapped here, so that no step can be left out.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { StatementSync } from "node:sqlite";
import { NetlinkConnection } from "../../lib/netlink/connection.ts";

/** Called after each effect, before the daemon goes on. */
export type Report = (effect: string) => void;

/** A command that is being served. */
interface Served {
  readonly command: string;
  /** Whether its answer is given: what follows from it later is nobody's step. */
  answered: boolean;
}

/** The command that is being served where the code runs. */
const serving = new AsyncLocalStorage<Served>();

/** Wraps all ways to the outside. Call it before the daemon's parts are made. */
export function watchEffects(report: Report): void {
  const happened = (what: string) => {
    const served = serving.getStore();
    if (served === undefined || served.answered) return;
    report(`${served.command}: ${what.replaceAll(/"[^"]*"/g, "…")}`);
  };
  watchAnswers(happened);
  watchJournal(happened);
  watchNetlink(happened);
  watchSysctls(happened);
  watchApi(happened);
}

/** What the command is, of a request at the daemon's socket. */
async function commandOf(request: Request): Promise<string> {
  const body: unknown = await request.clone().json().catch(() => undefined);
  return typeof body === "object" && body !== null && "command" in body
    ? String(body.command)
    : "request id";
}

function watchAnswers(happened: Report): void {
  const serve = Deno.serve;
  const watched = (options: { path?: string }, handler: (request: Request) => Promise<Response>) =>
    Reflect.apply(serve, Deno, [options, async (request: Request) => {
      if (options.path === undefined) return await handler(request);
      const served = { command: await commandOf(request), answered: false };
      return await serving.run(served, async () => {
        const answer = await handler(request);
        happened("the answer");
        served.answered = true;
        return answer;
      });
    }]);
  Object.defineProperty(Deno, "serve", { value: watched });
}

function watchJournal(happened: Report): void {
  const { run } = StatementSync.prototype;
  StatementSync.prototype.run = function (this: StatementSync, ...values: never[]) {
    const changes = Reflect.apply(run, this, values);
    const [, verb = "", table = ""] =
      /^(\w+) (?:OR REPLACE )?(?:INTO |FROM )?(\w+)/.exec(this.sourceSQL) ?? [];
    happened(`journal ${verb} ${table}`);
    return changes;
  };
}

/**
 * Whether a message of rtnetlink changes something: types go by fours, NEW, DEL, GET and SET (include/uapi/linux/rtnetlink.h). Those of
 * other families have a number above the first eight bits.
 */
function changes(type: number): boolean {
  return type < 256 && type % 4 !== 2;
}

function watchNetlink(happened: Report): void {
  const { request, query, batch, requestAsync } = NetlinkConnection.prototype;
  const note = ({ type, operation }: { readonly type: number; readonly operation: string }) => {
    if (changes(type)) happened(`kernel ${operation}`);
  };
  NetlinkConnection.prototype.request = function (asked) {
    Reflect.apply(request, this, [asked]);
    note(asked);
  };
  NetlinkConnection.prototype.query = function (asked, read) {
    const answer = Reflect.apply(query, this, [asked, read]);
    note(asked);
    return answer;
  };
  // One datagram, which the kernel carries out before it returns: nothing can happen between its messages.
  NetlinkConnection.prototype.batch = function (asked, read) {
    Reflect.apply(batch, this, [asked, read]);
    for (const one of asked.slice(0, 1)) note(one);
  };
  NetlinkConnection.prototype.requestAsync = async function (asked) {
    await Reflect.apply(requestAsync, this, [asked]);
    note(asked);
  };
}

function watchSysctls(happened: Report): void {
  const write = Deno.writeTextFileSync;
  Object.defineProperty(Deno, "writeTextFileSync", {
    value: (...values: Parameters<typeof write>) => {
      write(...values);
      const name = String(values[0]).split("/").at(-1);
      if (String(values[0]).startsWith("/proc/sys/")) happened(`kernel sysctl ${name}`);
    },
  });
}

function watchApi(happened: Report): void {
  const { fetch } = globalThis;
  globalThis.fetch = async (input, init) => {
    const answer = await fetch(input, init);
    const method = init?.method ?? "GET";
    const path = new URL(String(input)).pathname.split("/");
    const resource = path.find((part) => part === "ipblocks");
    if (method !== "GET" && resource !== undefined) happened(`API ${method} ${resource}`);
    return answer;
  };
}
