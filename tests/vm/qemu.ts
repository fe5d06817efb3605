import { join } from "node:path";
import { fileServerSocket } from "./run_directory.ts";

/** What executes the guest's instructions: the processor itself, or QEMU's translator. */
export type Accelerator = "kvm" | "tcg";

/** A virtual machine, as QEMU is told to make it. */
export interface MachineSpec {
  /** What executes the guest's instructions. */
  readonly accelerator: Accelerator;
  /** The kernel to boot: bzImage or ELF with a PVH note. */
  readonly kernel: string;
  /** The initramfs to boot. */
  readonly initramfs: string;
  /** Memory in MiB. */
  readonly memoryMiB: number;
  /** `name=value` words for the guest's first stage, on the kernel's command line. */
  readonly parameters: Readonly<Record<string, string>>;
  /** Names of the output ports; each is connected to the UNIX socket of that name in `directory`. */
  readonly ports: readonly string[];
  /** Whether virtiofsd serves the host's tree at {@linkcode fileServerSocket}. */
  readonly hostTree: boolean;
  /** Holds the sockets, and `console` with what the kernel says. */
  readonly directory: string;
}

/** Processors in the guest. */
const PROCESSORS = 2;

/**
 * Options that save time under emulation: no security mitigations, no relocation, and no calibration of timers that
 * QEMU makes exact.
 */
const KERNEL_OPTIONS =
  "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable no_timer_check";

/** The arguments for `qemu-system-x86_64` that make the machine. */
export function qemuArguments(spec: MachineSpec): string[] {
  const socket = (name: string) => join(spec.directory, name);
  const parameters = Object.entries(spec.parameters).map(([name, value]) => `${name}=${value}`);
  return [
    ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-M", "q35,memory-backend=memory", "-smp", String(PROCESSORS), "-m", `${spec.memoryMiB}M`],
    // virtiofsd reads the guest's memory, so it has to be shared.
    ...["-object", `memory-backend-memfd,id=memory,size=${spec.memoryMiB}M,share=on`],
    ...(spec.accelerator === "kvm"
      ? ["-accel", "kvm", "-cpu", "host"]
      : ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "Nehalem"]),
    ...["-kernel", spec.kernel, "-initrd", spec.initramfs],
    ...["-append", [KERNEL_OPTIONS, ...parameters].join(" ")],
    ...["-chardev", `file,id=console,path=${socket("console")}`, "-serial", "chardev:console"],
    ...["-device", "virtio-serial-pci"],
    ...spec.ports.flatMap((port) => [
      ...["-chardev", `socket,id=${port},path=${socket(port)}`],
      ...["-device", `virtserialport,chardev=${port},name=${port}`],
    ]),
    ...(spec.hostTree
      ? [
        ...["-chardev", `socket,id=fs,path=${fileServerSocket(spec.directory)}`],
        ...["-device", "vhost-user-fs-pci,chardev=fs,tag=host,queue-size=1024"],
      ]
      : []),
  ];
}
