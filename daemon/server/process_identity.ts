/**
 * What tells a process from another one with the same id: its start time in clock ticks after boot (proc_pid_stat(5),
 * field 22). Undefined when there is no such process, or one that has ended and is only not yet waited for.
 */
export function processIdentity(pid: number): string | undefined {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  let stat: string;
  try {
    stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  } catch {
    return undefined;
  }
  // The second field is the command in parentheses and may hold anything, spaces and parentheses included.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state = "X", startTime] = [fields[0], fields[19]];
  return startTime === undefined || "ZX".includes(state) ? undefined : `${pid}:${startTime}`;
}
