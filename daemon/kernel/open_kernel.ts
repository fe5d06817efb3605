/** Opens the kernel adapter that this node needs. */
import type { KernelOptions } from "./host.ts";
import type { Kernel } from "./port.ts";
import { type BackendChoice, selectBackend } from "./select_backend.ts";
import { openDeviceKernel } from "./vrf_device.ts";
import { openNetnsKernel } from "./vrf_netns.ts";

/** Which adapter, and how it reaches the kernel. */
export interface OpenKernelOptions extends KernelOptions {
  /** The VRF backend. */
  readonly backend: BackendChoice;
}

/**
 * Opens the kernel. Dispose of it to close its connections; what it made stays.
 *
 * @throws {SysError | NetlinkError} If the host's namespace cannot be entered, or the kernel cannot be probed
 */
export function openKernel(options: OpenKernelOptions): Kernel {
  const backend = selectBackend(options.backend);
  return backend === "device" ? openDeviceKernel(options) : openNetnsKernel(options);
}
