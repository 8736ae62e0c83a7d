// Images of RAFS (Nydus) of which a part is damaged: bytes anywhere, or numbers where a parser looks for them. For test/property and
// test/fuzz.
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { mustBeHandled, mutate, mutations, NUMBERS } from './hostile-blobs.js';
import { randomBytes, textBytes } from './pattern.js';
import { shareChunks } from './rafs-shared-writer.js';
import { writeRafs, type RafsFile, type WrittenRafs } from './rafs-writer.js';
import { writeUstar } from './ustar.js';

const FILES: RafsFile[] = [
  { path: '', type: 'dir', mode: 0o755 },
  { path: 'd', type: 'dir', xattrs: { 'user.a': 'value', 'security.b': 'x' } },
  { path: 'd/words', type: 'reg', bytes: textBytes(1, 20_000) },
  { path: 'd/noise', type: 'reg', bytes: randomBytes(2, 6000) },
  { path: 'hard', type: 'reg', sameAs: 'd/words' },
  { path: 'link', type: 'symlink', target: 'd/words' },
  { path: 'null', type: 'char', rdev: [1, 3] },
];
const plain = writeRafs(FILES, { codec: 'none' });
const shared = { codec: 'zstd', infoCodec: 'none', spanSize: 5000 } as const;

/** Each is opened and read without an error. */
export const healthyRafs: Readonly<Record<string, WrittenRafs>> = {
  zstd: writeRafs(FILES, { blobs: 2, compact: true }),
  lz4: writeRafs(FILES, { codec: 'lz4', hash: 'sha256', holes: true }),
  gzip: writeRafs(FILES, { codec: 'gzip' }),
  zran: await shareChunks(plain, { ...shared, shared: 'zran' }),
  batch: await shareChunks(plain, { ...shared, shared: 'batch' }),
};

const change = fc.record({
  place: fc.constantFrom(
    'superblock' as const,
    'extension' as const,
    'blobTable' as const,
    'chunkTable' as const,
    'prefetch' as const,
    'inode' as const,
  ),
  at: fc.nat(255),
  width: fc.constantFrom(1, 2, 4, 8),
  value: fc.oneof(fc.constantFrom(...NUMBERS), fc.nat(20_000).map(BigInt)),
});

export const hostileRafs = fc.record({
  form: fc.constantFrom(...Object.keys(healthyRafs)),
  damaged: fc.constantFrom('bootstrap' as const, 'blob' as const, 'fields' as const),
  /** Which of the blobs. */
  blob: fc.nat(1),
  inLayer: fc.boolean(),
  damage: mutations,
  changes: fc.array(change, { minLength: 1, maxLength: 3 }),
});
export type HostileRafs = typeof hostileRafs extends fc.Arbitrary<infer T> ? T : never;

/** Writes bootstrap and blobs to a folder, opens and reads them. @throws Error for what must not be */
export async function rafsMustBeHandled(folder: string, hostile: HostileRafs): Promise<void> {
  const { form, damaged, damage, changes, inLayer } = hostile;
  const good = healthyRafs[form] as WrittenRafs;
  let bootstrap: Buffer = Buffer.from(good.bootstrap);
  if (damaged === 'bootstrap') bootstrap = mutate(bootstrap, damage);
  if (damaged === 'fields') for (const each of changes) apply(bootstrap, good, each);
  const path = join(folder, 'image.boot');
  const layer = gzipSync(writeUstar([{ name: 'image/image.boot', bytes: bootstrap }]), {
    level: 1,
  });
  writeFileSync(path, inLayer ? layer : bootstrap);
  const blobs = [...good.blobs];
  for (const [i, [id, bytes]] of blobs.entries()) {
    const isBad = damaged === 'blob' && i === hostile.blob % blobs.length;
    writeFileSync(join(folder, id), isBad ? mutate(bytes, damage) : bytes);
  }
  try {
    await mustBeHandled([path], { tocBlob: null, tocDigest: null, ztocs: [], blobs: folder });
  } finally {
    for (const [id] of blobs) rmSync(join(folder, id));
  }
}

function apply(
  bootstrap: Buffer,
  { at: places }: WrittenRafs,
  { place, at, width, value }: HostileRafs['changes'][number],
): void {
  const begin = {
    superblock: () => 1024,
    extension: () => 1152,
    blobTable: () => places.blobTable,
    chunkTable: () => places.chunkTable,
    prefetch: () => places.prefetch,
    inode: () => places.inode('d'),
  }[place]();
  const to = begin + at;
  if (to + width > bootstrap.length) return;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, value), 0);
  bytes.copy(bootstrap, to, 0, width);
}
