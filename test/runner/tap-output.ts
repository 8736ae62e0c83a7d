// Reads the TAP output of one test file: how many assertions, which failed and which were skipped.

export interface Counts {
  total: number;
  pass: number;
  fail: number;
  skip: number;
  todo: number;
}

export const noCounts = (): Counts => ({ total: 0, pass: 0, fail: 0, skip: 0, todo: 0 });

/** @returns the counts of tap's last line, or null if the file ended before it printed that line */
export function countsOf(output: string): Counts | null {
  const line = /^# \{ (.*) \}$/m.exec(output)?.[1];
  if (line === undefined) return null;
  const counts = noCounts();
  for (const [, name, value] of line.matchAll(/(\w+): (\d+)/g))
    if (name !== undefined && name in counts) counts[name as keyof Counts] = Number(value);
  return counts;
}

/** @returns the reasons of skipped tests and assertions, each once */
export function skipsOf(output: string): string[] {
  const reasons = [...output.matchAll(/^ *ok \d+(?: - (.*?))? # SKIP ?(.*)$/gm)].map(
    ([, name = '', reason = '']) => (reason === '' ? name : reason),
  );
  return [...new Set(reasons)];
}

/** @returns the lines about failures: all but passed assertions, their plans and blank lines */
export function failuresOf(output: string): string[] {
  return output.split('\n').filter((line) => !/^ *(?:ok\b|1\.\.|# time=|# \{|$)/.test(line));
}

/** @returns the counts as tap prints them at its end */
export function summary(counts: Counts): string {
  const fields = Object.entries(counts).filter(([name, value]) => name === 'total' || value > 0);
  return `# { ${fields.map(([name, value]) => `${name}: ${value}`).join(', ')} }`;
}
