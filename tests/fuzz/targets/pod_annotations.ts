/** Annotations of pods: whoever may create a pod writes them. */
import fc from "fast-check";
import { parseCniArgs } from "../../../lib/cni/args.ts";
import { CniError } from "../../../lib/cni/errors.ts";
import { parseNetworkWishes } from "../../../lib/cni/wishes.ts";
import { createGatherWishes } from "../../../daemon/wishes/attachment_wishes.ts";
import { exploring } from "../explore.ts";
import { changedText, hostileText } from "../mutation.ts";
import { expectRefusal, type FuzzTarget, nothing } from "../target.ts";

const values = [
  "10.150.0.70",
  "10.150.0.70/26,fd00:150::70",
  '["10.150.0.70","fd00:150::70/64"]',
  "02:00:00:00:00:01",
  "tenant-a",
  "true",
  "on-node",
];

const names = ["ips", "mac", "domain", "keep-address", "__proto__", "toString"];

/** Wishes of a pod, and of the container's environment. */
export const podAnnotations: FuzzTarget = {
  name: "pod-annotations",
  share: 8,
  begin() {
    const gather = createGatherWishes({
      findPod: () => Promise.resolve(undefined),
      hasInterface: () => false,
    });
    const value = changedText(values);
    const key = fc.oneof(
      fc.constantFrom(...names).map((name) => `cni.pyroute2.org/${name}`),
      hostileText,
    );
    return Promise.resolve(exploring({
      inputs: fc.record({
        annotations: fc.array(fc.tuple(key, value), { maxLength: 3 }),
        ips: value,
        mac: value,
        ifname: fc.constantFrom("eth0", "net1"),
      }),
      attempt: async ({ annotations, ips, mac, ifname }) => {
        try {
          const args = parseCniArgs({
            CNI_COMMAND: "ADD",
            CNI_CONTAINERID: "c1",
            CNI_NETNS: "/run/netns/a",
            CNI_IFNAME: ifname,
            CNI_ARGS: `IP=${ips};MAC=${mac}`,
          });
          const wishes = parseNetworkWishes({
            runtimeConfig: {
              "io.kubernetes.cri.pod-annotations": Object.fromEntries(annotations),
            },
          });
          await gather({ args, wishes }, new AbortController().signal);
        } catch (thrown) {
          expectRefusal(thrown, CniError);
        }
      },
      [Symbol.asyncDispose]: nothing,
    }));
  },
};
