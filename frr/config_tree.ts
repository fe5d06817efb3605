/**
 * FRR configuration text as a tree of lines. The depth of a line is its indentation, as FRR writes it; `!`, `end` and the lines
 * that leave a context (`exit`, `exit-vrf`, `exit-address-family`) carry no meaning then.
 */

/** A configuration line and the lines inside the context that it opens. */
export interface ConfigNode {
  /** The line without indentation, its words one space apart. */
  readonly line: string;
  /** Lines one level deeper, in order. */
  readonly children: readonly ConfigNode[];
}

const NOISE =
  /^(?:!.*|end|exit|exit-vrf|exit-address-family|Building configuration\.\.\.|Current configuration:)$/;

/**
 * The parts of a configuration that differ between two nodes without meaning anything: what FRR writes about itself, and what
 * zebra adds for each network namespace that it finds.
 */
const OWN_OF_FRR: readonly RegExp[] = [
  /^frr (?:version|defaults) /,
  /^(?:hostname|domainname) /,
  /^(?:no )?service integrated-vtysh-config$/,
  /^(?:no )?ip(?:v6)? forwarding$/,
  /^(?:no )?log /,
  /^(?:no )?debug /,
];
const NETNS_OF_ZEBRA = /^netns /;

/** Parses running configuration or rendered text. Never fails: what FRR would refuse is just another line. */
export function parseConfig(text: string): ConfigNode[] {
  const root: MutableNode = { line: "", children: [] };
  const open: { indent: number; node: MutableNode }[] = [{ indent: -1, node: root }];
  for (const raw of text.split(/\r?\n/)) {
    const line = raw.trim().replaceAll(/\s+/g, " ");
    if (line === "" || NOISE.test(line)) continue;
    const indent = raw.length - raw.trimStart().length;
    while (indent <= indentOf(open)) open.pop();
    const node: MutableNode = { line, children: [] };
    (open.at(-1)?.node ?? root).children.push(node);
    open.push({ indent, node });
  }
  return withoutFrrsOwn(mergeContexts(root.children));
}

/**
 * The form in which two configurations that mean the same are the same text: contexts and lines sorted, one space of indentation a level,
 * nothing that FRR says of itself. VRF sections, address families and a BFD section that say nothing are left out, as FRR does.
 */
export function normaliseConfig(text: string): string {
  return printSorted(parseConfig(text), "");
}

/** The child with that line. */
export function childOf(nodes: readonly ConfigNode[], line: string): ConfigNode | undefined {
  return nodes.find((node) => node.line === line);
}

interface MutableNode {
  line: string;
  children: MutableNode[];
}

function indentOf(open: readonly { indent: number }[]): number {
  return open.length > 1 ? open.at(-1)?.indent ?? -1 : -1;
}

/** A context may be written in pieces; FRR takes them as one. */
function mergeContexts(nodes: readonly MutableNode[]): ConfigNode[] {
  const merged = new Map<string, MutableNode>();
  for (const node of nodes) {
    const known = merged.get(node.line);
    if (known === undefined) {
      merged.set(node.line, { line: node.line, children: [...node.children] });
    } else known.children.push(...node.children);
  }
  return [...merged.values()].map(({ line, children }) => ({
    line,
    children: mergeContexts(children),
  }));
}

function withoutFrrsOwn(nodes: readonly ConfigNode[]): ConfigNode[] {
  return nodes
    .filter((node) => !OWN_OF_FRR.some((pattern) => pattern.test(node.line)))
    .map((node) => node.line.startsWith("vrf ") ? withoutNetns(node) : node)
    .map((node) => ({ line: node.line, children: withoutFrrsOwn(node.children) }))
    .filter((node) =>
      !(/^(?:(?:vrf|address-family) |bfd$)/.test(node.line) && node.children.length === 0)
    );
}

function withoutNetns(node: ConfigNode): ConfigNode {
  return {
    line: node.line,
    children: node.children.filter((child) => !NETNS_OF_ZEBRA.test(child.line)),
  };
}

function printSorted(nodes: readonly ConfigNode[], indent: string): string {
  return nodes
    .toSorted((a, b) => a.line < b.line ? -1 : a.line > b.line ? 1 : 0)
    .map((node) => `${indent}${node.line}\n${printSorted(node.children, indent + " ")}`)
    .join("");
}
