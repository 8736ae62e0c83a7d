// The invariant of parsers: a value, or an error of the kind that they promise, soon.
import { OverlaybdError } from '../../../daemon/errors.js';

/** Milliseconds of processor time that a case may take, on a machine with other work. */
const CASE_CPU_MS = 3000;

export type Promised = (error: unknown) => boolean;

/** What nearly all parsers throw. */
export function isOurs(error: unknown): boolean {
  return error instanceof OverlaybdError && error.code !== 'BUG' && /: ./.test(error.message);
}

/** Of parsers whose caller names the file in its message. */
export function isOfSyntax(error: unknown): boolean {
  const { constructor } = error as Error;
  return constructor === TypeError || constructor === SyntaxError;
}

/**
 * @returns what came out
 * @throws Error for another kind of error, or too much work
 */
export async function mustEnd(
  work: () => unknown,
  isPromised: Promised = isOurs,
): Promise<'taken' | 'refused'> {
  const start = process.cpuUsage();
  let end: 'taken' | 'refused' = 'taken';
  try {
    await work();
  } catch (error) {
    if (!isPromised(error)) {
      throw new Error(`not a promised error: ${String(error)}`, { cause: error });
    }
    end = 'refused';
  }
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  if (ms > CASE_CPU_MS) throw new Error(`took ${ms.toFixed(0)} ms of processor time`);
  return end;
}
