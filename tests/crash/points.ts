/**
 * Everything that the daemon changes outside its own memory while it serves ADD and DEL, in order, for a pod with both IP versions in a
 * stretched subnet. After each of these the tests kill it. A step that is new makes a test fail until it is listed here.
 */

/** Of ADD. */
export const addPoints: readonly string[] = [
  "request id: the answer",
  "ADD: journal INSERT attachments",
  "ADD: kernel to create the link …",
  "ADD: kernel sysctl disable_ipv6",
  "ADD: kernel sysctl disable_ipv6 #2",
  "ADD: kernel sysctl accept_ra",
  "ADD: kernel sysctl accept_dad",
  "ADD: kernel sysctl ndisc_notify",
  "ADD: kernel to change the link …",
  "ADD: kernel to change the link … #2",
  "ADD: kernel to set up the bridge port …",
  "ADD: kernel to add the neighbour … to the link …",
  "ADD: kernel to add the neighbour … to the link … #2",
  "ADD: journal UPDATE attachments",
  "ADD: the answer",
];

/** Of DEL. */
export const delPoints: readonly string[] = [
  "request id: the answer",
  "DEL: journal UPDATE attachments",
  "DEL: kernel to delete the link …",
  "DEL: kernel to delete the neighbour … from the link …",
  "DEL: kernel to delete the neighbour … from the link … #2",
  "DEL: journal DELETE attachments",
  "DEL: the answer",
];

/** Of an ADD before the node has a block: those that it has not in common with other ADDs. */
export const claimPoints: readonly string[] = [
  "ADD: API POST ipblocks",
  "ADD: journal INSERT blocks",
];
