// The size of a blob that no descriptor of its image has: the target of a turboOCI layer that is not compressed.

import type { RegistryRef } from '../blob/blob-ref.js';
import type { PullPolicy } from '../config/registry-settings.js';
import type { CacheStore } from '../cache/store.js';
import { errorOf, within } from '../lib/fault.js';
import type { RegistryClient } from '../registry/http/client.js';

const NOT_KNOWN =
  'not in the cache, and the network is not used (--pull never): fetch its image with "overlaybd-nbd warm" first';

type UnsizedBlob = Omit<RegistryRef, 'kind' | 'size'>;

/**
 * What the cache has of the blob says nothing of its size, unless all of it was compared with the digest: another manifest may have
 * been wrong. What the registry itself said is remembered, in a small file that stays as those of tags do. It counts while the cache
 * has some of a blob of that size, which is then served without the registry.
 * @param pull 'never': the registry is not asked
 * @throws OverlaybdError as RegistryClient.sizeOf does; NOT_FOUND if the registry is not to be asked
 */
export async function sizeOfBlob(
  of: UnsizedBlob,
  pull: PullPolicy,
  client: Pick<RegistryClient, 'sizeOf'>,
  store: Pick<CacheStore, 'list' | 'manifests'>,
): Promise<number> {
  const found = (await store.list()).filter(
    // A record of the blob has the same digest, and a size of its own.
    ({ digest, what }) => what === 'blob' && digest === of.digest,
  );
  const { host, repository, digest } = of;
  const said = await store.manifests.size(host, repository, digest);
  if (said !== null && found.some(({ size }) => size === said)) return said;
  const compared = found.find(({ isComplete }) => isComplete);
  // If they differ, the file may have been cut since.
  if (said === null && typeof compared?.size === 'number') return compared.size;
  if (pull === 'never') {
    const name = `${host}/${repository}@${digest}`;
    throw errorOf('NOT_FOUND', { ...within(name, 'its size'), digest, host }, NOT_KNOWN);
  }
  const size = await client.sizeOf(of);
  await store.manifests.setSize(host, repository, digest, size);
  return size;
}
