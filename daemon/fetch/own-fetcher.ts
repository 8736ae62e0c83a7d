// A fetcher for one command, such as `inspect`: starts only if an image of a registry is opened, and ends with it. A person
// waits for it: of a registry that refuses connections it says so soon.

import type { RegistrySettings } from '../config/registry-settings.js';
import type { Remote } from '../registry/remote.js';
import type { Logger } from '../log/logger.js';
import { Fetcher } from './fetcher.js';
import { FetcherRemote } from './remote.js';

/** Lets `use` open images, and ends the fetcher after it. */
export async function withFetcher<T>(
  settings: RegistrySettings,
  log: Logger,
  use: (remote: Remote, fetcher: Fetcher) => Promise<T>,
): Promise<T> {
  const fetcher = new Fetcher(settings, log, undefined, false);
  const { platform, pull } = settings;
  try {
    return await use(new FetcherRemote(fetcher, () => ({ platform, pull })), fetcher);
  } finally {
    await fetcher.close();
  }
}
