// Where the files of a configuration are.

import { isAbsolute, resolve } from 'node:path';
import { fileExists } from '../../blob/file-jobs.js';

/** Relative paths: against the configuration's folder first, then the working directory. */
export async function locate(path: string, folder: string): Promise<string> {
  if (isAbsolute(path)) return path;
  const beside = resolve(folder, path);
  if (await fileExists(beside)) return beside;
  const here = resolve(path);
  return (await fileExists(here)) ? here : beside;
}
