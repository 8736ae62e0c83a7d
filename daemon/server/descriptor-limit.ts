// How many files this process may have open, and whether that is enough to serve. Node.js has raised the
// soft limit to the hard one by now, so the process itself cannot get more.

import { readFileSync, readdirSync } from 'node:fs';
import { OverlaybdError } from '../errors.js';

/**
 * Below this `serve` does not start. Node.js and the first reactor have 30 open before there is an
 * image; a layer is one more, and so are a listener and a client.
 */
export const MIN_DESCRIPTORS = 64;
/** What must be left for clients once every image is open and every listener listens. */
export const SPARE_DESCRIPTORS = 16;

/** The limit, or null where /proc does not tell. 0: it is too low to be read. @internal for its unit test */
export function descriptorLimit(): number | null {
  try {
    return parseDescriptorLimit(readFileSync('/proc/self/limits', 'utf8'));
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EMFILE' ? 0 : null;
  }
}

/**
 * @param limits the text of /proc/self/limits. @returns the soft limit of open files
 * @internal for its unit test
 */
export function parseDescriptorLimit(limits: string): number | null {
  const soft = /^Max open files\s+(\d+|unlimited)/m.exec(limits)?.[1];
  if (soft === undefined) return null;
  return soft === 'unlimited' ? Infinity : Number(soft);
}

/** Before anything is opened: what fails later for want of descriptors fails in obscure ways. @throws OverlaybdError LIMIT */
export function checkDescriptorsAtStart(limit = descriptorLimit()): void {
  if (limit !== null && limit < MIN_DESCRIPTORS) throw tooFew(limit, MIN_DESCRIPTORS);
}

/** When everything is open. @throws OverlaybdError LIMIT when no client could be served */
export function checkSpareDescriptors(limit = descriptorLimit(), open = openDescriptors()): void {
  const needed = open + SPARE_DESCRIPTORS;
  if (limit !== null && limit < needed) throw tooFew(limit, needed);
}

/** The error instead of an EMFILE; other errors stay as they are. */
export function explainDescriptors(error: unknown, limit = descriptorLimit()): unknown {
  const { code, cause, message } = error as NodeJS.ErrnoException;
  const isFull = [code, (cause as NodeJS.ErrnoException | undefined)?.code].includes('EMFILE');
  if (!isFull && !/\bEMFILE\b/.test(message)) return error;
  const text = `${message}: this process may have ${limit ?? 'no more'} files open, and these images and listeners need more: ${REMEDY}`;
  return new OverlaybdError('LIMIT', text, { cause: error });
}

const REMEDY = 'raise the limit (ulimit -n; LimitNOFILE= in a unit)';

function tooFew(limit: number, needed: number): OverlaybdError {
  return new OverlaybdError(
    'LIMIT',
    `this process may have ${limit || 'no more'} files open, and needs at least ${needed} to serve: ${REMEDY}`,
  );
}

function openDescriptors(): number {
  // One of them is the folder's.
  return readdirSync('/proc/self/fd').length - 1;
}
