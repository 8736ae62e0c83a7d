// A layer that cannot be opened: which blobs are fetched again for it, and that it is read anew.
import { test } from 'tap';
import type { BlobRef } from '../../../../daemon/blob/blob-ref.js';
import { ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { throwProblem } from '../../../../daemon/errors.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import type { LayerContent } from '../../../../daemon/image/formats/format.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import type { ImagePlan } from '../../../../daemon/image/plan/plan.js';
import { openLower } from '../../../../daemon/image/stack/open-stack.js';
import type { RemoteImages } from '../../../../daemon/registry/remote.js';
import { writeLsmt } from '../../../support/lsmt-writer.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes } from '../../../support/pattern.js';

const bytes = writeLsmt({
  virtualSize: 4096,
  segments: [{ offset: 0, length: 8, data: randomBytes(1, 4096) }],
});

/** Each digest is a blob with these bytes, and fetching them again makes no other ones. */
function setup() {
  const doubted: number[] = [];
  const remote = {
    open: ({ digest }: { digest: string }) => {
      const { state } = ChunkMap.create(bytes.length);
      const about = { name: digest, digest, size: bytes.length, fd: -1, slotsFd: -1 };
      return Promise.resolve({ kind: 'cached', ...about, blob: Number(digest.slice(7)), state });
    },
    doubt: (blob: number) => {
      doubted.push(blob);
      return Promise.resolve(true);
    },
    close: () => undefined,
  } as unknown as RemoteImages;
  const readers = new ReaderFactory();
  readers.source = () => new MemorySource(bytes);
  const pool = new BlobPool(readers, () => remote);
  const files = new ImageBlobs(pool);
  const tools = { readers, effort: UNBOUNDED, records: null, sink: throwProblem };
  return { doubted, pool, files, options: { ...tools, files, mayBeUpper: false } };
}

function refOf(number: number, repository = 'app'): BlobRef {
  const digest = `sha256:${number}`;
  return { kind: 'registry', host: 'a', repository, digest, size: bytes.length };
}

/** A layer number is only for layers of files: a plan that none of these layers can be opened by. */
function failing(lowers: readonly BlobRef[]): ImagePlan {
  const nothing = { upper: null, tocs: null, tocBlob: null, layer: 0, name: 'image' };
  return { ...nothing, lowers, mayBeRaw: false } as unknown as ImagePlan;
}

await test('blobs that the layer has not opened are left alone', async (t) => {
  const { doubted, pool, files, options } = setup();
  // Another image has the same blob from another repository: it has that name.
  const elsewhere = await pool.open(refOf(1, 'other'));
  const plan = failing([refOf(1), refOf(2)]);
  const other = await files.open(refOf(1));
  t.equal(other.key, elsewhere.key);
  await other.read(0, 1);
  await t.rejects(openLower(refOf(2), plan, options), { code: 'UNSUPPORTED' });
  t.same(doubted, [2]);
  files.release();
  elsewhere.release();
});

await test('a layer that is opened again is read again', async (t) => {
  const { doubted, files, options } = setup();
  const read: LayerContent[] = [];
  const contents = new Map<string, LayerContent>();
  const set = contents.set.bind(contents);
  contents.set = (key, content) => {
    read.push(content);
    return set(key, content);
  };
  await t.rejects(openLower(refOf(1), failing([refOf(1)]), options, contents), {
    code: 'UNSUPPORTED',
  });
  t.same(doubted, [1]);
  t.equal(read.length, 2);
  t.not(read[0], read[1]);
  files.release();
});
