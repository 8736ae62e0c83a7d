// Removes stale outputs from out/. Part of `npm run build:ts`.

import { fileURLToPath } from 'node:url';
import { removeStaleOutputs } from './stale-outputs.js';

removeStaleOutputs(fileURLToPath(new URL('../../..', import.meta.url)));
