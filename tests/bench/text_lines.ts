/** Cuts a text that comes in pieces into its lines. */
export class TextLineStream extends TransformStream<string, string> {
  /** Makes one; a last line without its end is dropped. */
  constructor() {
    let rest = "";
    super({
      transform(piece, controller) {
        const lines = (rest + piece).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
    });
  }
}
