// A number with its noun, in the singular or the plural.

/**
 * "1 layer", "3 layers", "0 entries".
 * @param plural if it is not the noun with an "s"
 */
export function counted(count: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${count} ${Number(count) === 1 ? noun : plural}`;
}
