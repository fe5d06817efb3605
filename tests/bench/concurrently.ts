/** Runs an action for each index below a count, so many at once; gives what they gave. */
export async function concurrently<T>(
  count: number,
  atOnce: number,
  action: (index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const work = async () => {
    while (next < count) {
      const index = next++;
      results[index] = await action(index);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return results;
}
