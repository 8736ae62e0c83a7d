// The program itself, for those that start it again.

import { fileURLToPath } from 'node:url';

/** Path of main.js, to be run by `process.execPath`. */
export const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));
