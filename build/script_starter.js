// Starts a bundle that is a CommonJS script and exports main(args, path): Deno sees this module alone, V8 the script.
import { createRequire } from "node:module";
import { Script } from "node:vm";

/** The text of the function that the script is, behind its two launcher lines. Nothing else keeps a copy of it. */
function textOf(path) {
  const bytes = Deno.readFileSync(path);
  const newline = 10;
  const start = bytes.indexOf(newline, bytes.indexOf(newline) + 1) + 1;
  return new TextDecoder().decode(bytes.subarray(start));
}

const [path, ...args] = Deno.args;
const module = { exports: {} };
const script = new Script(textOf(path), { filename: path, lineOffset: 2 });
script.runInThisContext()(module, module.exports, createRequire("file:///"));
Deno.exit(await module.exports.main(args, path));
