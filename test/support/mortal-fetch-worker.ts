// The fetcher's thread with all its real parts, which dies when it gets settings for the platform "death".

import { parentPort } from 'node:worker_threads';
import type { ToFetcher } from '../../daemon/fetch/messages.js';

await import('../../daemon/fetch/worker.js');

parentPort?.on('message', (message: ToFetcher) => {
  if (message.type === 'settings' && message.settings.platform === 'death') {
    throw new Error('the platform is death');
  }
});
