/** What must be written down of addresses: IPBlocks and their status at the API, the journals of the nodes. Pure. */
import { ipBlockName } from "../../daemon/resources/ip_block.ts";
import { contains, overlaps, parsePrefix } from "../../lib/net/prefix.ts";
import type { SoakDomain } from "./tenants.ts";
import { blockOf, blocksOf, type ClaimedBlock, gatewayOf, isIpv6, type World } from "./world.ts";

/** What the API must say of blocks, domains and nodes. */
export function expectApi(world: World): readonly string[] {
  return [
    ...world.domains.map(({ name }) => `domain ${name} Ready`),
    ...world.nodes.map(({ name }) => `node ${name} ready`),
    ...world.nodes.flatMap((node) =>
      world.domains.map(({ name }) => `node ${node.name} carries ${name} Ready`)
    ),
    ...world.blocks.flatMap((block) => expectBlock(world, block)),
  ];
}

function expectBlock(world: World, block: ClaimedBlock): string[] {
  const { name } = block;
  const held = [
    { address: gatewayOf(block.cidr), reference: "gateway" },
    ...podsIn(world, block).map(({ address, uid }) => ({ address, reference: uid })),
  ];
  return [
    `block ${name} allocated ${held.length}`,
    `block ${name} Ready`,
    ...held.map(({ address, reference }) => `block ${name} ${address} ${reference}`),
  ];
}

function podsIn(world: World, block: ClaimedBlock) {
  return world.pods
    .filter(({ node, domain }) => node === block.node && domain.vrf === block.vrf)
    .flatMap(({ uid, addresses }) => addresses.map(({ address }) => ({ address, uid })))
    .filter(({ address }) => blockOf([block], address) !== undefined);
}

/** What a node's journal must hold. */
export function expectJournal(world: World, node: string): readonly string[] {
  return [
    ...world.pods.filter((pod) => pod.node === node).map((pod) =>
      `journal attachment ${pod.container}/eth0 ${pod.domain.name} attached ${pod.hostIfname} ${
        pod.addresses.map(({ address }) => address).join(" ")
      }`
    ),
    ...world.blocks.filter((block) => block.node === node)
      .map(({ name, vrf, cidr, uid }) => `journal block ${name} ${vrf} ${cidr} ${uid}`),
  ];
}

/**
 * What is wrong with the blocks and addresses themselves, whoever writes them down: nothing, when all is well.
 *
 * Which blocks a node claims is its own choice, but it has enough and not too many of them, they are of the domain's prefix and length, no
 * two nodes claim the same, and no address is given twice.
 */
export function claimProblems(world: World): readonly string[] {
  return [
    ...world.blocks.flatMap((block) => blockProblems(world, block)),
    ...world.domains.flatMap((domain) =>
      world.nodes.flatMap(({ name }) => supplyProblems(world, domain, name))
    ),
    ...world.pods.flatMap((pod) =>
      pod.addresses.flatMap(({ address }) => {
        const block = blockOf(blocksOf(world, pod.domain, pod.node), address);
        return block === undefined ? [`${pod.name} has ${address} of no block of ${pod.node}`] : [];
      })
    ),
    ...doubles(
      world.pods.flatMap(({ domain, addresses }) =>
        addresses.map(({ address }) => `${address} of ${domain.name} is given twice`)
      ),
    ),
  ];
}

function blockProblems({ blocks, domains }: World, block: ClaimedBlock): string[] {
  const domain = domains.find(({ vrf }) => vrf === block.vrf);
  if (domain === undefined) return [`${block.name} is of no domain`];
  const [own, { family, length }] = [rangeOf(domain, block), parsePrefix(block.cidr)];
  const fits = own !== undefined && own.blockLength === length &&
    contains(parsePrefix(own.cidr), parsePrefix(block.cidr));
  const others = blocks.filter((other) =>
    other.name < block.name && parsePrefix(other.cidr).family === family &&
    (other.vrf === block.vrf || other.node === block.node) &&
    overlaps(parsePrefix(other.cidr), parsePrefix(block.cidr))
  );
  return [
    ...fits ? [] : [`${block.name} does not fit ${domain.name}`],
    ...block.name === ipBlockName(block.vrf, block.cidr) ? [] : [`${block.name} is misnamed`],
    ...others.map(({ name }) => `${block.name} overlaps ${name}`),
  ];
}

function rangeOf({ ranges }: SoakDomain, { cidr }: ClaimedBlock) {
  return ranges.find((range) => isIpv6(range.cidr) === isIpv6(cidr));
}

/** A node claims a block when few addresses are left (a quarter of a block's, at least two), and gives one back when twice as many are. */
function supplyProblems(world: World, domain: SoakDomain, node: string): string[] {
  return domain.ranges.flatMap(({ cidr, blockLength }) => {
    if (isIpv6(cidr)) return [];
    const room = 2 ** (32 - blockLength) - 3;
    const scarce = Math.max(Math.floor(room / 4), 2);
    const blocks = blocksOf(world, domain, node).filter((block) => !isIpv6(block.cidr));
    if (blocks.length === 0) return [];
    const free = blocks.map((block) => ({ block, free: room - podsIn(world, block).length }));
    const all = free.reduce((sum, each) => sum + each.free, 0);
    const spare = free.filter((each) => each.free === room && all - room >= 2 * scarce);
    return [
      ...all < scarce ? [`${node} has ${all} addresses left of ${domain.name}`] : [],
      ...spare.map(({ block }) => `${node} keeps ${block.name} without need`),
    ];
  });
}

function doubles(facts: readonly string[]): string[] {
  return [...new Set(facts.filter((fact, index) => facts.indexOf(fact) !== index))];
}
