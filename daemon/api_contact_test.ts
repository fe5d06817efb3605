import assert from "node:assert/strict";
import { type Contact, missingLists, withRefusals } from "./api_contact.ts";
import { KubeError, type KubeErrorCode } from "./kube/kube_error.ts";

function contact(resource: string, synced: boolean, code?: KubeErrorCode): Contact {
  return {
    resource,
    synced,
    connected: code === undefined && synced,
    restarts: 0,
    error: code === undefined ? undefined : new KubeError(code, `Could not list ${resource}`),
  };
}

const takesPods = { ready: true, reasons: [] };

Deno.test("resources that are missing for one reason are named together, with the reason", () => {
  const contacts = [
    contact("vrfdomains", false, "CertificateInvalid"),
    contact("ipblocks", false, "CertificateInvalid"),
    contact("nodes", false, "Forbidden"),
    contact("pods", false, "Forbidden"),
    contact("vrfdomainbindings", false),
  ];
  const needed = ["vrfdomains", "ipblocks", "nodes", "vrfdomainbindings"];
  assert.deepEqual(missingLists(contacts, needed), [
    "no list from the API yet of vrfdomains, ipblocks: Could not list vrfdomains",
    "no list from the API yet of nodes: Could not list nodes",
    "no list from the API yet of vrfdomainbindings",
  ]);
  assert.deepEqual(missingLists(contacts, []), []);
});

Deno.test("the probe tells of an API that refuses the daemon, and not of one that is away", () => {
  for (const code of ["Unavailable", "Timeout", "Throttled", "Gone"] as const) {
    assert.deepEqual(withRefusals(takesPods, [contact("vrfdomains", true, code)]), takesPods, code);
  }
  for (
    const code of [
      "Unauthorized",
      "Forbidden",
      "CertificateInvalid",
      "NotFound",
      "Invalid",
    ] as const
  ) {
    const contacts = [contact("vrfdomains", true, code), contact("ipblocks", true, code)];
    assert.deepEqual(withRefusals({ ready: false, reasons: ["FRR does not answer"] }, contacts), {
      ready: false,
      reasons: [
        "FRR does not answer",
        "the API is not followed any more, of vrfdomains, ipblocks: Could not list vrfdomains",
      ],
    });
    assert.equal(withRefusals(takesPods, contacts).ready, false, code);
  }
  assert.deepEqual(withRefusals(takesPods, [contact("vrfdomains", true)]), takesPods);
});
