/** Looks at a node: everything in one go, so that what is seen is of about one moment. */
import { readFrr } from "./read_frr.ts";
import { readAddresses, readForwarding, readLinks, readNeighbors } from "./read_links.ts";
import { readFirewall } from "./read_nft.ts";
import { readRoutes, readRules } from "./read_routes.ts";
import type { RunningNode } from "../lab/lab.ts";

/** A command's output, and where and what it was. */
interface Section {
  /** `host`, `vrf-200` or a path of a pod's namespace. */
  readonly place: string;
  /** Which reader it is for. */
  readonly what: string;
  readonly text: string;
}

// One shell for all: hundreds of programs, none of which says much. A namespace that vanishes meanwhile says nothing.
const script = `
at() { echo "@@@ $place $1"; shift; "$@" 2>/dev/null; }
look() {
  at links $enter ip -json -details link
  at addresses $enter ip -json address
  at routes4 $enter ip -json -4 route show table all
  at routes6 $enter ip -json -6 route show table all
}
place=host enter=; look
at rules4 ip -json rule
at rules6 ip -json -6 rule
at nft nft -j list ruleset
at netns ls /run/netns
at pods ls /run/pods
at vtysh-config vtysh -c 'show running-config'
at vtysh-routes vtysh -c 'show ip route vrf all json' -c 'show ipv6 route vrf all json'
at vtysh-vnis vtysh -c 'show evpn vni json'
at vtysh-peers vtysh -c 'show bgp l2vpn evpn summary json'
at vtysh-evpn vtysh -c 'show bgp l2vpn evpn route json'
for path in /run/netns/*; do
  place=\${path##*/} enter="nsenter --net=$path"; look
  at neighbors $enter ip -json neighbor
  at fdb $enter bridge -json fdb
  at nft $enter nft -j list ruleset
done
for path in /run/pods/*; do
  [ -e "$path" ] || continue
  place=$path enter="nsenter --net=$path"; look
done
true
`;

/** The facts of a node. */
export interface NodeFacts {
  /** Its own namespace. */
  readonly host: readonly string[];
  /** Its VRFs' namespaces; each begins with the VRF's name. */
  readonly vrfs: readonly string[];
  /** Its pods' namespaces; each begins with the path. */
  readonly pods: readonly string[];
  /** FRR. */
  readonly frr: readonly string[];
}

/** Reads all facts of a node. @throws {Error} When something cannot be read, such as FRR's answers while it starts */
export async function observeNode(node: RunningNode): Promise<NodeFacts> {
  const output = await node.holder.run(["sh", "-s"], { stdin: script });
  const sections = output.split(/^@@@ /m).slice(1).map((part): Section => {
    const end = part.indexOf("\n");
    const [place = "", what = ""] = part.slice(0, end).split(" ");
    return { place, what, text: part.slice(end + 1) };
  });
  const at = (place: (place: string) => boolean, named: boolean) =>
    sections.filter((section) => place(section.place)).flatMap((section) => {
      const facts = readSection(section);
      return named ? facts.map((fact) => `${section.place} ${fact}`) : facts;
    });
  return {
    host: at((place) => place === "host", false),
    vrfs: at((place) => place.startsWith("vrf-"), true),
    pods: at((place) => place.startsWith("/"), true),
    frr: sections.filter(({ what }) => what.startsWith("vtysh-")).flatMap(readFrr),
  };
}

function readSection({ place, what, text }: Section): readonly string[] {
  switch (what) {
    case "links":
      return readLinks(text, place);
    case "addresses":
      return readAddresses(text);
    case "routes4":
      return readRoutes(text, 4);
    case "routes6":
      return readRoutes(text, 6);
    case "rules4":
      return readRules(text, 4);
    case "rules6":
      return readRules(text, 6);
    case "neighbors":
      return readNeighbors(text);
    case "fdb":
      return readForwarding(text);
    case "nft":
      return readFirewall(text);
    case "netns":
      return names(text).map((name) => `netns ${name}`);
    case "pods":
      return names(text).map((name) => `pod /run/pods/${name}`);
    default:
      return [];
  }
}

function names(text: string): string[] {
  return text.split("\n").filter((name) => name !== "");
}
