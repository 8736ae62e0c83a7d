// From a command line to its exit code, and from an error to its message. It does not end the process.

import { OverlaybdError, storyLines } from '../errors.js';
import { helpFor, parseCommandLine } from './command-line.js';
import { EXIT_FAILURE, EXIT_OK, EXIT_USAGE } from './exit-codes.js';
import { complain, print } from './output.js';

/**
 * @param version reads the text of --version; called only for that
 * @returns the exit code
 */
export async function runCommandLine(
  args: readonly string[],
  version: () => Promise<string>,
): Promise<number> {
  const parsed = await parseCommandLine(args, version);
  if (parsed.kind === 'command') return (await parsed.command.load()).run(parsed.args);
  await print(parsed.text);
  return EXIT_OK;
}

/**
 * Prints the message of our own errors. Any other error is a bug, and is printed with its stack.
 * @param words of the command line
 * @returns the exit code
 */
export async function report(
  error: unknown,
  words: readonly string[] = process.argv.slice(2),
): Promise<number> {
  if (!(error instanceof OverlaybdError)) {
    await complain(...storyLines(error));
    return EXIT_FAILURE;
  }
  const isUsage = error.code === 'BAD_ARGUMENT';
  const hint = isUsage ? [`See ${helpFor(words)}.`] : [];
  await complain(`overlaybd-nbd: ${error.message}`, ...hint);
  return isUsage || error.code === 'BAD_CONFIG' ? EXIT_USAGE : EXIT_FAILURE;
}
