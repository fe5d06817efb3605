/** The line that starts a program which is a bundle of JavaScript and no compiled binary. Pure. */

/** Name of the Deno runtime where it stands beside a bundle. */
export const runtimeName = "deno";

const shebang = "#!/bin/sh\n";
/** To the shell a command that does nothing, to JavaScript a text and a comment. */
const guard = "':' //; ";
const fallback = /^(.*?\|\| d=)'(?:[^']|'\\'')*'(;.*)$/;
/** Longer than any launcher line, in bytes. */
const longestHead = 4_096;

/**
 * The two lines that stand before a bundle, so that the kernel can execute it: it cuts a `#!` line after 255 bytes, which paths and
 * permissions would exceed. The runtime is looked for beside the executable first, so that the folder can be moved as a whole.
 * DENO_DIR leads nowhere: caches stay in memory.
 *
 * @param permissions Options of `deno run` that the program needs
 * @param runtimeDir Folder of the runtime where none stands beside the executable
 * @param starter JavaScript module that starts the bundle, whose path is its first argument; without one it is a module itself
 */
export function launcherLines(
  permissions: readonly string[],
  runtimeDir: string,
  starter?: string,
): string {
  const options = ["--quiet", "--ext=js", "--cached-only", "--no-config", "--no-lock"];
  const line = [
    `${guard}d="\${0%/*}"; [ -x "$d/${runtimeName}" ] || d=${shellQuoted(runtimeDir)};`,
    "DENO_DIR=/dev/null/deno DENO_NO_UPDATE_CHECK=1",
    `exec "$d/${runtimeName}" run`,
    ...[...options, "--no-npm", "--no-remote", "--no-prompt", ...permissions],
    ...starter === undefined ? [] : [shellQuoted(dataUrl(starter))],
    '"$0" "$@"',
  ].join(" ");
  return `${shebang}${line}\n`;
}

/** Whether a program is a bundle, which needs the runtime. */
export function isBundle(program: Uint8Array): boolean {
  return headOf(program).startsWith(`${shebang}${guard}`);
}

/**
 * The same bundle with another folder for the runtime. The one of the build would be looked into on every machine that the bundle
 * is copied to, where it may be anybody's.
 */
export function withRuntimeIn(bundle: Uint8Array, runtimeDir: string): Uint8Array<ArrayBuffer> {
  const [first = "", line = ""] = headOf(bundle).split("\n");
  const [, before, after] = fallback.exec(line) ?? [];
  if (before === undefined || after === undefined) return Uint8Array.from(bundle);
  const encoder = new TextEncoder();
  const head = encoder.encode(`${first}\n${before}${shellQuoted(runtimeDir)}${after}\n`);
  const rest = bundle.subarray(encoder.encode(`${first}\n${line}\n`).length);
  const joined = new Uint8Array(head.length + rest.length);
  joined.set(head);
  joined.set(rest, head.length);
  return joined;
}

function dataUrl(module: string): string {
  return `data:text/javascript,${encodeURIComponent(module.trim()).replaceAll("'", "%27")}`;
}

function headOf(program: Uint8Array): string {
  return new TextDecoder().decode(program.subarray(0, longestHead));
}

function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
