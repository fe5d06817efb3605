/**
 * Whether the guest runs on the processor (KVM) or translated (TCG). A machine can offer `/dev/kvm` and still not boot
 * a stock kernel with it, as some nested hypervisors do; so it is tried, and the answer kept until the next reboot.
 */
import { join } from "node:path";
import { z } from "zod";
import { messageOf } from "../../lib/errors.ts";
import { controlMessages } from "./control.ts";
import type { GuestKernel } from "./kernel.ts";
import { type Machine, startMachine } from "./machine.ts";
import type { Accelerator, MachineSpec } from "./qemu.ts";
import { makeRunDirectory } from "./run_directory.ts";

/** A kernel that boots at all with KVM is up in one or two seconds. */
const KVM_DEADLINE_MS = 8_000;
const PROBE_MEMORY_MIB = 512;
const tooLate = `a guest does not boot with KVM within ${KVM_DEADLINE_MS / 1000} s`;

/** What executes the guest's instructions, and why. */
export interface AcceleratorChoice {
  /** What executes the guest's instructions. */
  readonly accelerator: Accelerator;
  /** Why it was chosen. */
  readonly reason: string;
}

const storedChoice = z.object({
  accelerator: z.enum(["kvm", "tcg"]),
  reason: z.string(),
  bootId: z.string(),
});

/**
 * Chooses KVM if a guest boots with it, else TCG. The answer of an attempt is stored beside the kernel.
 *
 * @param image What to boot
 * @param options Abort signal and receiver of progress lines
 */
export async function chooseAccelerator(
  image: { readonly kernel: GuestKernel; readonly initramfs: string; readonly virtiofsd: string },
  options: { readonly signal?: AbortSignal; readonly report?: (line: string) => void },
): Promise<AcceleratorChoice> {
  const obstacle = await kvmObstacle();
  if (obstacle !== undefined) return { accelerator: "tcg", reason: obstacle };

  const bootId = (await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim();
  const path = join(image.kernel.directory, "accelerator.json");
  const stored = await readChoice(path);
  if (stored?.bootId === bootId) return stored;

  options.report?.(
    `Trying whether a guest boots with KVM (at most ${2 * KVM_DEADLINE_MS / 1000} s)`,
  );
  let failure = await tryKvm(image, options.signal);
  // The answer is kept for long: a machine that was busy for a moment must not cost it.
  if (failure === tooLate) failure = await tryKvm(image, options.signal);
  const choice: AcceleratorChoice = failure === undefined
    ? { accelerator: "kvm", reason: "a guest boots with KVM" }
    : { accelerator: "tcg", reason: failure };
  await Deno.writeTextFile(path, JSON.stringify({ ...choice, bootId }));
  return choice;
}

/** Why KVM need not even be tried. */
async function kvmObstacle(): Promise<string | undefined> {
  try {
    using _device = await Deno.open("/dev/kvm", { read: true, write: true });
    return undefined;
  } catch (error) {
    return `"/dev/kvm" cannot be opened: ${messageOf(error)}`;
  }
}

async function readChoice(
  path: string,
): Promise<z.infer<typeof storedChoice> | undefined> {
  try {
    return storedChoice.parse(JSON.parse(await Deno.readTextFile(path)));
  } catch {
    return undefined;
  }
}

/** Boots to the first stage with KVM; returns why that failed, or nothing. */
async function tryKvm(
  image: { readonly kernel: GuestKernel; readonly initramfs: string; readonly virtiofsd: string },
  signal: AbortSignal = new AbortController().signal,
): Promise<string | undefined> {
  await using directory = await makeRunDirectory();
  await using stack = new AsyncDisposableStack();
  const spec: MachineSpec = {
    accelerator: "kvm",
    kernel: image.kernel.image,
    initramfs: image.initramfs,
    memoryMiB: PROBE_MEMORY_MIB,
    parameters: { "guest.mode": "probe" },
    ports: ["control"],
    hostTree: false,
    directory: directory.path,
  };
  let machine: Machine;
  try {
    machine = stack.use(await startMachine(spec, image.virtiofsd, signal));
  } catch (error) {
    signal.throwIfAborted();
    return messageOf(error);
  }
  let late = false;
  const deadline = setTimeout(() => {
    late = true;
    machine.kill();
  }, KVM_DEADLINE_MS);
  try {
    for await (const message of controlMessages(machine.output("control"))) {
      if (message.kind === "ready") return undefined;
    }
  } finally {
    clearTimeout(deadline);
  }
  signal.throwIfAborted();
  if (late) return tooLate;
  return `a guest does not boot with KVM: ${await machine.explain()}`;
}
