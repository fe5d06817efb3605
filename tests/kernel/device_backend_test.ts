import { kernelHasVrfLinks } from "../../daemon/kernel/select_backend.ts";
import { registerKernelCases } from "./kernel_cases.ts";

// Asked for by name, the cases run and fail loudly where the kernel lacks the link type; else they wait for a kernel that has it.
if (Deno.env.get("PYROUTE2_LAB_BACKEND") === "device" || kernelHasVrfLinks()) {
  registerKernelCases("device");
}
