import { registerKernelCases } from "./kernel_cases.ts";

registerKernelCases("netns");
