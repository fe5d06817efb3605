/** What `deno test` says of the tests that failed, short enough to stand together at the end of a long output. Pure. */

/** Lines of an error's text that are kept: what differed is there, the rest is in the output above. */
const linesOfEach = 12;

/**
 * The failed tests of an output without colours, each with its place and the beginning of its error.
 *
 * @returns Lines; none where nothing failed, or the run broke off before it told
 */
export function failuresIn(output: string): string[] {
  const told = /^ ERRORS \n([\s\S]*?)^ FAILURES $/m.exec(output)?.[1] ?? "";
  // A test's name and place on one line, then its error up to the next one.
  const blocks = told.split(/\n(?=.+ => \S+:\d+:\d+\n|\S+ \(uncaught error\)\n)/);
  return blocks.flatMap((block) => {
    const lines = block.split("\n").filter((line) => line.trim() !== "");
    const left = lines.length - linesOfEach;
    return left > 0 ? [...lines.slice(0, linesOfEach), `… ${left} more lines`] : lines;
  });
}
