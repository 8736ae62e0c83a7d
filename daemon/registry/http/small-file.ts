// Reads configuration files: whole, with a limit of their size.

import { open } from 'node:fs/promises';
import { messageOf } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
import { MAX_FILE_BYTES } from './limits.js';

/** @throws OverlaybdError BAD_CONFIG, also if there is no such file */
export async function readSmallFile(path: string): Promise<string> {
  const text = await readFileIfThere(path);
  if (text === null) throw errorOf('BAD_CONFIG', { path }, 'no such file');
  return text;
}

/** @returns null if there is no such file. @throws OverlaybdError BAD_CONFIG for any other failure */
export async function readFileIfThere(path: string): Promise<string | null> {
  try {
    const file = await open(path, 'r');
    try {
      const found = await file.stat();
      if (found.isDirectory()) throw new Error('it is a folder');
      const { size } = found;
      if (size > MAX_FILE_BYTES) throw new Error(`larger than ${MAX_FILE_BYTES} bytes`);
      return await file.readFile('utf8');
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw errorOf('BAD_CONFIG', { path }, messageOf(error), error);
  }
}
