// A minimal TAP producer: tap itself takes half a minute to load on an emulated processor. It does not know the kernel.
import { isDeepStrictEqual } from 'node:util';
import { findTool } from '../support/tools.js';

export interface Case<World> {
  name: string;
  /** Programs without which the case is skipped. */
  tools?: readonly string[];
  /** How many processors the machine must have; 1. */
  processors?: number;
  /** Seconds until the case fails; 120. */
  timeout?: number;
  run: (check: Check, world: World) => Promise<void>;
}

/** The checks of a case. */
export class Check {
  readonly #report: Report;
  readonly #name: string;
  readonly #undo: (() => unknown)[] = [];

  constructor(report: Report, name: string) {
    this.#report = report;
    this.#name = name;
  }

  ok(value: unknown, what: string, details = ''): boolean {
    this.#report.result(Boolean(value), `${this.#name}: ${what}`, details);
    return Boolean(value);
  }

  equal(actual: unknown, expected: unknown, what: string): boolean {
    const details = `found    ${JSON.stringify(actual)}\nexpected ${JSON.stringify(expected)}`;
    return this.ok(isDeepStrictEqual(actual, expected), what, details);
  }

  match(text: string, pattern: RegExp, what: string): boolean {
    return this.ok(pattern.test(text), what, `${pattern} is not in:\n${text}`);
  }

  skip(what: string, why: string): void {
    this.#report.skipped(`${this.#name}: ${what}`, why);
  }

  /** A line for people: a measurement or a count. */
  note(text: string): void {
    this.#report.comment(text);
  }

  /** A step to undo at the end of the case, last first. */
  defer(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  async undo(): Promise<void> {
    for (const undo of this.#undo.splice(0).toReversed()) {
      try {
        await undo();
      } catch (error) {
        this.ok(false, 'cleans up', textOf(error));
      }
    }
  }
}

class Report {
  #passed = 0;
  #failed = 0;
  #skipped = 0;

  get failed(): number {
    return this.#failed;
  }

  result(good: boolean, what: string, details: string): void {
    if (good) this.#passed++;
    else this.#failed++;
    console.log(`${good ? 'ok' : 'not ok'} ${this.#count} - ${what}`);
    if (!good && details !== '') this.comment(details);
  }

  skipped(what: string, why: string): void {
    this.#skipped++;
    console.log(`ok ${this.#count} - ${what} # SKIP ${why}`);
  }

  comment(text: string): void {
    console.log(text.replaceAll(/^/gm, '#   '));
  }

  /** The last line has tap's form, which .ci/run adds up. */
  end(seconds: number): void {
    const counts = { total: this.#count, pass: this.#passed, fail: this.#failed };
    const all = Object.entries({ ...counts, skip: this.#skipped }).filter(([, count]) => count > 0);
    console.log(`1..${this.#count}`);
    console.log(`# time=${seconds.toFixed(0)}s`);
    console.log(`# { ${all.map(([name, count]) => `${name}: ${count}`).join(', ')} }`);
  }

  get #count(): number {
    return this.#passed + this.#failed + this.#skipped;
  }
}

/**
 * Runs the cases one after the other, also after a failure. @param explain returns further information after a failure
 * @returns whether all passed
 */
export async function runCases<World>(
  cases: readonly Case<World>[],
  world: World,
  explain: () => string,
): Promise<boolean> {
  const report = new Report();
  const begin = performance.now();
  console.log('TAP version 13');
  for (const each of cases) {
    console.log(`# ${each.name}`);
    const check = new Check(report, each.name);
    const missing = (each.tools ?? []).filter((tool) => findTool(tool) === null);
    if (missing.length > 0) {
      check.skip('', `NOT TESTED, not installed: ${missing.join(', ')}`);
      continue;
    }
    const start = performance.now();
    const { failed } = report;
    await withTimeout(each, check, world);
    await check.undo();
    if (report.failed > failed) check.note(explain());
    check.note(`${each.name} took ${((performance.now() - start) / 1000).toFixed(1)} s`);
  }
  report.end((performance.now() - begin) / 1000);
  return report.failed === 0;
}

async function withTimeout<World>(
  { run, timeout = 120 }: Case<World>,
  check: Check,
  world: World,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`it is not over after ${timeout} s`));
    }, timeout * 1000);
  });
  try {
    await Promise.race([run(check, world), late]);
  } catch (error) {
    check.ok(false, 'runs to its end', textOf(error));
  } finally {
    clearTimeout(timer);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
