/** Output of several programs at once, a whole line at a time. */

/**
 * Makes what takes a program's output and gives its lines as they are complete, each with a prefix. A last line that never ends is not given.
 *
 * @param prefix Before each line
 * @param onLine Receives a line without its end
 */
export function lineWriter(
  prefix: string,
  onLine: (line: string) => void,
): (chunk: Uint8Array) => void {
  const decoder = new TextDecoder();
  let rest = "";
  return (chunk) => {
    const lines = `${rest}${decoder.decode(chunk, { stream: true })}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(`${prefix}${line}`);
  };
}
