/** `deno task lab up|status|exec|down`: the demo's lab, to look around in. */
import { messageOf } from "../../lib/errors.ts";
import { applyTenants, startPods } from "./demo_lab.ts";
import { frrSummary } from "./frr_summary.ts";
import { type Lab, openLab, removeAbandonedLabs, removeLab, startLab } from "./lab.ts";
import { kubeconfig, kubectl } from "./machines.ts";
import { jobsWhere } from "./patience.ts";
import {
  build,
  choosePlace,
  type CommandLine,
  interruption,
  parseCommandLine,
  prepare,
  progressLine,
} from "./options.ts";

const usage = `Usage: deno task lab [--name NAME] COMMAND

  up [--backend device|netns|auto] [--no-install]   build the lab with its tenants and pods, and leave it up
  status                                            what the nodes say of themselves
  exec MACHINE COMMAND...                           run a command on node1, node2, api or outside
  down                                              take it down`;

async function main(args: readonly string[]): Promise<number> {
  // What stands behind "exec MACHINE" belongs to the command there.
  const at = args.indexOf("exec");
  const own = at < 0 ? args : args.slice(0, at + 2);
  const options = parseCommandLine(own);
  try {
    switch (options.words[0]) {
      case "up":
        return await up(options);
      case "status":
        return await status(await openLab(options.name));
      case "exec":
        return await exec(await openLab(options.name), options.words[1] ?? "", args.slice(at + 2));
      case "down":
        await removeLab(options.name);
        return 0;
      default:
        console.error(usage);
        return 2;
    }
  } catch (error) {
    console.error(messageOf(error));
    return 1;
  }
}

async function up(options: CommandLine): Promise<number> {
  const progress = progressLine();
  using stop = interruption();
  await removeAbandonedLabs();
  const place = await choosePlace(options.backend);
  if (place.guest) throw new Error("This kernel has no vrf link: use --backend netns");
  await prepare(place, options.install, stop.signal);
  progress("Build");
  const dist = options.dist ?? await build(stop.signal);
  const { name } = options;
  const lab = await startLab({
    name,
    backend: place.backend,
    nodes: 2,
    dist,
    keep: true,
    ...jobsWhere(options.emulated),
    signal: stop.signal,
    progress,
  });
  try {
    progress("Tenants and bindings");
    await applyTenants(lab, stop.signal);
    progress("Pods");
    await startPods(lab, dist, stop.signal);
  } catch (error) {
    if (stop.signal.aborted) await removeLab(name);
    throw error;
  }
  progress(`The lab is up; its logs are in "${lab.directory}"`);
  return 0;
}

async function status(lab: Lab): Promise<number> {
  console.log(await kubectl(lab, ["get", "vrfdomains,vrfdomainbindings,ipblocks,vrfnodestates"]));
  for (const node of lab.nodes) console.log(await frrSummary(node));
  return 0;
}

async function exec(lab: Lab, machine: string, command: readonly string[]): Promise<number> {
  const holder = [lab.api, lab.outside, ...lab.nodes.map((node) => node.holder)]
    .find(({ name }) => name === machine);
  if (holder === undefined || command.length === 0) {
    console.error(usage);
    return 2;
  }
  const [program = "", ...args] = holder.inside(command);
  const child = new Deno.Command(program, {
    args,
    env: { KUBECONFIG: kubeconfig(lab) },
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  return (await child.status).code;
}

if (import.meta.main) Deno.exit(await main(Deno.args));
