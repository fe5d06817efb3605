/** What the Containerfile says about an image, as far as an image made without it must agree. Pure. */

/** A stage that becomes an image. */
export interface Stage {
  /** Debian packages that it installs. */
  readonly packages: readonly string[];
  /** Names of the programs that it takes from the build. */
  readonly programs: readonly string[];
  /** What it runs. */
  readonly entrypoint: readonly string[];
  /** Arguments where a pod gives none. */
  readonly command: readonly string[];
}

/** Reads a stage. @throws {Error} When there is none of that name, or it lacks an instruction that is looked for */
export function parseStage(containerfile: string, name: string): Stage {
  const stages = containerfile.replaceAll("\\\n", " ").split(/^FROM /m);
  const stage = stages.find((text) => text.split("\n")[0]?.endsWith(` AS ${name}`));
  if (stage === undefined) throw new Error(`Expected a stage "${name}", found none`);
  const find = (what: string, pattern: RegExp) => {
    const found = pattern.exec(stage)?.[1];
    if (found === undefined) throw new Error(`Expected ${what} in the stage "${name}", found none`);
    return found.trim();
  };
  const words = (text: string) => text.split(/\s+/);
  const list = (text: string): string[] => JSON.parse(text).map(String);
  const copied = words(find("programs", /^COPY --from=build (.*) \/usr\/local\/bin\/$/m));
  return {
    packages: words(find("packages", /apt-get install -y --no-install-recommends ([^&]*)/)),
    programs: copied.map((path) => path.replace(/^\/out\//, "")),
    entrypoint: list(find("an entry point", /^ENTRYPOINT (.*)$/m)),
    command: list(find("a command", /^CMD (.*)$/m)),
  };
}
