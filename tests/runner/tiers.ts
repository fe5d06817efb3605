/** The parts of the suite, and what each needs. */
import { beside } from "../kube/cluster/programs.ts";
import type { Program } from "../kube/program_build.ts";
import {
  containerdNeeds,
  kubectlNeeds,
  kubeNeeds,
  labNeeds,
  type Need,
  recordingNeeds,
  systemdNeeds,
  vmNeeds,
} from "../prerequisites.ts";

/** A part of the suite. */
export interface Tier {
  /** Its name on the command line and in the output. */
  readonly name: string;
  /** What it shows, for the line above its output. */
  readonly about: string;
  /** What has to be installed for it. */
  readonly needs: readonly Need[];
  /** Whether it runs what `dist/` holds. */
  readonly built: boolean;
  /** Arguments of `deno test`. */
  readonly files: readonly string[];
  /** Whether it needs vrf links, and so a guest where this kernel lacks them. */
  readonly vrfLinks?: boolean;
  /** Whether nothing may run beside it: it measures time in a guest, whose instructions may be emulated. */
  readonly alone?: boolean;
  /** Whether all of its tests may be skipped, with the reason: where there is no Go to build with. */
  readonly maySkip?: boolean;
  /** Programs of Kubernetes that it runs, which are built with Go where they are not there. */
  readonly programs?: readonly Program[];
}

const deviceNeeds = [...labNeeds, ...kubectlNeeds, ...vmNeeds];

/** All of them, in the order in which they begin: a long one stands early, so that others fit beside it. */
export const tiers: readonly Tier[] = [
  {
    name: "vm",
    about: "a guest with the vrf link type",
    needs: vmNeeds,
    built: false,
    files: ["tests/vm"],
    alone: true,
  },
  {
    name: "lab",
    about: "two nodes with FRR, VRFs as network namespaces; a short soak",
    needs: [...labNeeds, ...kubectlNeeds],
    built: true,
    files: ["tests/lab", "tests/soak"],
  },
  {
    name: "unit",
    about: "every part by itself, on real namespaces, sockets, nft and FRR",
    needs: labNeeds,
    built: false,
    files: [
      "lib",
      "daemon",
      "frr",
      "tests/check",
      "tests/fuzz",
      "tests/bench",
      "tests/runner",
    ],
  },
  {
    name: "integration",
    about:
      "parts together: kernel adapters, IPAM, plugin and daemon, the embedded API with kubectl",
    needs: [
      ...labNeeds,
      ...kubectlNeeds,
      ...recordingNeeds,
      ...containerdNeeds,
      ...systemdNeeds,
    ],
    built: true,
    files: [
      "tests/netlink",
      "tests/forwarding",
      "tests/kernel",
      "tests/ipam",
      "tests/scale",
      "tests/kube/embedded_api_test.ts",
      "tests/kube/embedded_flood_test.ts",
      "tests/kube/embedded_kubectl_test.ts",
      "tests/kube/apiserver_binary_test.ts",
      "tests/manifests/containerfile_test.ts",
      "tests/manifests/crds_test.ts",
      "tests/manifests/install_test.ts",
      "tests/cni",
      "tests/confinement",
      "tests/crash",
      "tests/build",
      "tests/install",
      "tests/prerequisites_test.ts",
    ],
  },
  {
    name: "systemd",
    about: "an installation on a machine that boots a real systemd, and its removal",
    needs: [...labNeeds, ...kubectlNeeds, ...systemdNeeds],
    built: true,
    files: ["tests/systemd"],
    maySkip: true,
  },
  {
    name: "containerd",
    about: "containers of a real containerd, by ctr and by the CRI, attached by the plugin",
    needs: [...labNeeds, ...kubectlNeeds, ...containerdNeeds],
    built: true,
    files: ["tests/containerd"],
  },
  {
    name: "kube",
    about:
      "a real etcd and kube-apiserver, built once where Go is at hand: cases, client, manifests, lab",
    needs: [...labNeeds, ...kubectlNeeds, ...kubeNeeds],
    built: true,
    files: [
      "tests/kube/real_api_test.ts",
      "tests/kube/real_client_test.ts",
      "tests/kube/real_throttle_test.ts",
      "tests/kube/real_lab_test.ts",
      "tests/kube/real_operator_test.ts",
      "tests/manifests/real_install_test.ts",
    ],
    maySkip: true,
    programs: ["kube-apiserver"],
  },
  {
    name: "device",
    about:
      "the kernel adapter and ways out again, VRFs as vrf links, in a guest where this kernel lacks them",
    needs: deviceNeeds,
    built: true,
    files: [
      "tests/kernel/device_backend_test.ts",
      "tests/lab/egress_test.ts",
      "tests/lab/dual_stack_test.ts",
    ],
    vrfLinks: true,
  },
  {
    name: "kubelet",
    about: "a cluster of one node, control plane, kubelet and containerd, built once with Go",
    needs: [...labNeeds, ...kubectlNeeds, ...kubeNeeds, ...containerdNeeds],
    built: true,
    files: ["tests/kube/cluster"],
    maySkip: true,
    programs: ["kube-apiserver", ...beside],
  },
  {
    name: "device-lab",
    about: "the labs of tenants again, in another guest",
    needs: deviceNeeds,
    built: true,
    files: [
      "tests/lab/lab_test.ts",
      "tests/lab/wishes_test.ts",
      "tests/lab/ipv6_underlay_test.ts",
    ],
    vrfLinks: true,
  },
  {
    name: "device-fabric",
    about:
      "the labs of the fabric again, which measure how soon packets arrive, in a guest as well",
    needs: deviceNeeds,
    built: true,
    files: [
      "tests/lab/l2vni_test.ts",
      "tests/lab/uptime_test.ts",
      "tests/lab/fabric_test.ts",
    ],
    vrfLinks: true,
    alone: true,
  },
];
