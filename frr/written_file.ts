/** The mark of a `frr.conf` that the agent has written. Pure. */

const header = "! Written by pyroute2-cni: changes made here are replaced\n!\n";

/** The file's text for a configuration. */
export function withMark(configuration: string): string {
  return header + configuration;
}

/** Whether the agent wrote a file of this text. */
export function isWrittenByAgent(text: string): boolean {
  return text.startsWith(header);
}
