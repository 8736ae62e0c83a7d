// The names of the protocol's numbers, for messages: NBD_CMD_CACHE, not "command 5".

import { NBD_CMD, NBD_CMD_FLAG, NBD_ERRNO, NBD_OPT } from './constants.js';
import type { Request } from './request.js';

const TABLES = { NBD_CMD, NBD_OPT } as const;

/** "NBD_CMD_CACHE" for 5; "NBD_CMD 200" for a number that the protocol does not define. */
export function nameOf(table: keyof typeof TABLES, number: number): string {
  const name = keyOf(TABLES[table], number);
  return name === undefined ? `${table} ${number}` : `${table}_${name}`;
}

/** "NBD_EINVAL" for 22. */
export function nbdErrnoName(errno: number): string {
  const name = keyOf(NBD_ERRNO, errno);
  return name === undefined ? `NBD error ${errno}` : `NBD_${name}`;
}

/** "NBD_CMD_FLAG_DF, NBD_CMD_FLAG 0x40" for bits 2 and 6. @param flags at least one bit */
export function flagNames(flags: number): string {
  const names: string[] = [];
  let unknown = flags;
  for (const [name, bit] of Object.entries(NBD_CMD_FLAG)) {
    if ((flags & bit) === 0) continue;
    names.push(`NBD_CMD_FLAG_${name}`);
    unknown &= ~bit;
  }
  if (unknown !== 0) names.push(`NBD_CMD_FLAG 0x${unknown.toString(16)}`);
  return names.join(', ');
}

/** "NBD_CMD_READ of 512 bytes at 4096". */
export function requestText(request: Pick<Request, 'type' | 'offset' | 'length'>): string {
  const { type, offset, length } = request;
  return `${nameOf('NBD_CMD', type)} of ${length} bytes at ${offset}`;
}

function keyOf(table: Readonly<Record<string, number>>, number: number): string | undefined {
  return Object.keys(table).find((key) => table[key] === number);
}
