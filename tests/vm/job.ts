/** What the guest is asked to do, as files that it reads from the host's tree. */
import { join } from "node:path";

/** A command for the guest. */
export interface Job {
  /** The program and its arguments. */
  readonly command: readonly [string, ...string[]];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Its working directory, an absolute path. */
  readonly cwd: string;
  /**
   * Deno's cache directory. The guest starts without its databases: a copy taken while a process of the host writes to
   * them would be torn, and they save nothing there.
   */
  readonly denoDirectory: string;
  /** Host paths below `/run` or `/tmp` that the guest shall see in spite of its own fresh mounts there. */
  readonly expose: readonly string[];
}

/**
 * The shell script that becomes the command; exit code 126 if the working directory is missing, 127 if the program is.
 *
 * @throws {RangeError} if a string holds a NUL or an environment name is not one
 */
export function commandScript(job: Job): string {
  const env = Object.entries(job.env).map(([name, value]) => {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) {
      throw new RangeError(`Expected the name of an environment variable, found "${name}"`);
    }
    return quote(`${name}=${value}`);
  });
  const words = ["exec", "/usr/bin/env", "-i", ...env, ...job.command.map(quote)];
  return [
    `rm -f ${quote(job.denoDirectory)}/*_cache_v*`,
    `cd ${quote(job.cwd)} || exit 126`,
    `${words.join(" ")}\n`,
  ].join("\n");
}

/** Those of the paths that fresh mounts would hide, outermost first and without what is inside another. */
export function hiddenPaths(paths: readonly string[]): string[] {
  const hidden = paths.filter((path) => /^\/(?:run|tmp)\/./.test(path));
  const sorted = [...new Set(hidden)].sort();
  return sorted.filter((path) =>
    !sorted.some((other) => other !== path && path.startsWith(`${other}/`))
  );
}

/** Writes the job's files into `directory`. */
export async function writeJob(job: Job, directory: string): Promise<void> {
  await Deno.writeTextFile(join(directory, "command.sh"), commandScript(job));
  const expose = hiddenPaths(job.expose).map((path) => `${path}\n`).join("");
  await Deno.writeTextFile(join(directory, "expose"), expose);
}

function quote(text: string): string {
  if (text.includes("\0")) throw new RangeError("A word for the guest's shell cannot hold NUL");
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
