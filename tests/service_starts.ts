/** Keeps package installation from starting daemons, by Debian's policy-rc.d. */

const MARK = "# Temporary: written while test prerequisites are installed";
const DENY = `#!/bin/sh\n${MARK}\nexit 101\n`;

/**
 * Runs `action` while the policy script at `path` forbids every service start, and puts back afterwards what was
 * there. What a killed run left behind is put right first.
 *
 * @param path Where Debian's invoke-rc.d looks: `/usr/sbin/policy-rc.d`
 * @see https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt
 */
export async function withoutServiceStarts(
  path: string,
  action: () => Promise<void>,
): Promise<void> {
  const saved = `${path}.before-prerequisites`;
  await restore(path, saved);
  if (await exists(path)) await Deno.rename(path, saved);
  try {
    await Deno.writeTextFile(path, DENY, { mode: 0o755 });
    await action();
  } finally {
    await restore(path, saved);
  }
}

async function restore(path: string, saved: string): Promise<void> {
  if (await exists(saved)) {
    await Deno.rename(saved, path);
  } else if (await exists(path) && (await Deno.readTextFile(path)).includes(MARK)) {
    await Deno.remove(path);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
