/** Keeps extra lines that FRR does not take from everything else: they are left out, and FRR's words are kept. */
import { FrrError } from "../../frr/errors.ts";
import type { FrrModel, FrrVrfExtraLines } from "../../frr/model.ts";

/** Who has extra lines: the node, or the VRF of that name. */
type Holder = "node" | { readonly vrf: string };

/** What FRR said of extra lines, in words. */
export interface ExtraRefusals {
  /** Those of the node. */
  readonly node?: string | undefined;
  /** Those of VRFs, by name. */
  readonly vrfs: ReadonlyMap<string, string>;
}

/** Tries extra lines, and remembers what became of them. */
export interface ExtraGuard {
  /**
   * Gives a model to FRR. Where FRR refuses it, those are left out whose extra lines it has not taken before and does not take now; what
   * it has taken before stays.
   *
   * @param give Gives a model to FRR, whole or not at all
   * @throws {FrrError} What `give` throws of a model without the lines in question
   */
  apply(model: FrrModel, give: (model: FrrModel) => Promise<void>): Promise<ExtraRefusals>;
}

interface Extra {
  readonly holder: Holder;
  readonly lines: readonly string[];
  /** The lines and all that FRR may judge them by: other lines, or the same ones in another place, are tried anew. */
  readonly key: string;
}

/** Makes a guard that knows of nothing yet. */
export function createExtraGuard(): ExtraGuard {
  let taken = new Set<string>();
  let refused = new Map<string, string>();

  function forgetOthers(extras: readonly Extra[]): void {
    const present = keysOf(extras);
    taken = new Set([...taken].filter((key) => present.has(key)));
    refused = new Map([...refused].filter(([key]) => present.has(key)));
  }

  /** Leaves out those that FRR's words are about, one after another, until it takes the rest; all that are new, if they are about none. */
  async function leaveOut(
    model: FrrModel,
    wanted: readonly Extra[],
    refusal: FrrError,
    give: (model: FrrModel) => Promise<void>,
  ): Promise<void> {
    const suspects = wanted.filter(({ key }) => !taken.has(key));
    const out: Extra[] = [];
    for (let last = refusal;;) {
      const next = suspects.filter((each) => !out.includes(each));
      if (next.length === 0) throw last;
      const named = next.find(({ lines }) => lines.some((line) => last.message.includes(line)));
      out.push(...named === undefined ? next : [named]);
      const rest = wanted.filter((each) => !out.includes(each));
      try {
        await give(withOnly(model, keysOf(rest)));
        for (const { key } of rest) taken.add(key);
        break;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        last = error;
      }
    }
    const [only, ...others] = out;
    if (only !== undefined && others.length === 0) refused.set(only.key, refusal.message);
    else await tryEach(model, out, give);
  }

  /** Each by itself beside what is taken: of several only the bad ones stay out. */
  async function tryEach(
    model: FrrModel,
    extras: readonly Extra[],
    give: (model: FrrModel) => Promise<void>,
  ): Promise<void> {
    for (const { key } of extras) {
      try {
        await give(withOnly(model, new Set([...taken, key])));
        taken.add(key);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        refused.set(key, error.message);
      }
    }
    // What was refused last must not be what FRR was given last.
    await give(withOnly(model, taken));
  }

  return {
    async apply(model, give) {
      const extras = extrasOf(model);
      forgetOthers(extras);
      const wanted = extras.filter(({ key }) => !refused.has(key));
      try {
        await give(withOnly(model, keysOf(wanted)));
        for (const { key } of wanted) taken.add(key);
      } catch (error) {
        if (!isRefusal(error)) throw error;
        await leaveOut(model, wanted, error, give);
      }
      return refusalsOf(extras, refused);
    },
  };
}

function isRefusal(error: unknown): error is FrrError {
  return error instanceof FrrError && error.code === "FrrRefused";
}

function extrasOf(model: FrrModel): Extra[] {
  const { extra, asn, neighbors } = model;
  const addresses = neighbors.map(({ address, remoteAs }) => [address, remoteAs]);
  return [
    ...extra === undefined ? [] : [{
      holder: "node" as const,
      lines: linesOf(extra),
      key: JSON.stringify([extra, asn, addresses]),
    }],
    ...model.vrfs.flatMap((vrf) =>
      vrf.extra === undefined ? [] : [{
        holder: { vrf: vrf.name },
        lines: linesOf(vrf.extra),
        key: JSON.stringify([vrf, asn]),
      }]
    ),
  ];
}

function linesOf(extra: FrrVrfExtraLines): string[] {
  const { bgp = [], evpn = [], ipv4 = [], ipv6 = [] } = extra;
  return [...bgp, ...evpn, ...ipv4, ...ipv6];
}

function keysOf(extras: readonly Extra[]): Set<string> {
  return new Set(extras.map(({ key }) => key));
}

/** The model with the extra lines of these keys alone. */
function withOnly(model: FrrModel, keys: ReadonlySet<string>): FrrModel {
  const out = extrasOf(model).filter(({ key }) => !keys.has(key)).map(({ holder }) => holder);
  const bare = new Set(out.flatMap((holder) => holder === "node" ? [] : [holder.vrf]));
  return {
    ...model,
    extra: out.includes("node") ? undefined : model.extra,
    vrfs: model.vrfs.map((vrf) => bare.has(vrf.name) ? { ...vrf, extra: undefined } : vrf),
  };
}

function refusalsOf(
  extras: readonly Extra[],
  refused: ReadonlyMap<string, string>,
): ExtraRefusals {
  const said = extras.flatMap(({ holder, key }): [Holder, string][] => {
    const message = refused.get(key);
    return message === undefined ? [] : [[holder, message]];
  });
  return {
    node: said.find(([holder]) => holder === "node")?.[1],
    vrfs: new Map(
      said.flatMap(([holder, message]) => holder === "node" ? [] : [[holder.vrf, message]]),
    ),
  };
}
