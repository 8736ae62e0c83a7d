// Archives of turboOCI layers are compared with their digests, and one opening does that, inflates them and reads their tables as
// often as it must.
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import type { CachedSpec } from '../../../../daemon/blob/cached-source.js';
import { fileRef, keyOfRef, type BlobRef } from '../../../../daemon/blob/blob-ref.js';
import { ChunkMap } from '../../../../daemon/blob/chunk-map.js';
import { throwProblem } from '../../../../daemon/errors.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';
import type { SpecOf } from '../../../../daemon/image/disks/spec.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import type { ImagePlan } from '../../../../daemon/image/plan/plan.js';
import { openStack } from '../../../../daemon/image/stack/open-stack.js';
import { DECODED_BYTES_A_UNIT, type Effort } from '../../../../daemon/lib/effort.js';
import type { RemoteImages } from '../../../../daemon/registry/remote.js';
import { LayoutWriter } from '../../../support/layout-writer.js';
import type { Json } from '../../../support/memory-registry.js';
import { MemorySource } from '../../../support/memory-source.js';
import { writeTurboLayout } from '../../../support/turbo-image.js';

/** What it costs to open an image once. */
class Cost implements Effort {
  units = 0;
  kept = 0;
  /** Bytes of blobs that are read as a whole. */
  compared = 0;

  spend(units: number): void {
    this.units += units;
  }

  turn(): null {
    return null;
  }

  keep(bytes: number): void {
    this.kept += bytes;
  }

  whole(bytes: number): void {
    this.compared += bytes;
  }
}

const digestOf = (layer: Json): string => String(layer['digest']);
const sizeOf = (layer: Json): number => Number(layer['size']);

for (const place of ['layout', 'registry'] as const) {
  await test(`the cost of an opening: ${place}`, async (t) => {
    const layout = new LayoutWriter(t.testdir());
    const { layers, targets } = await writeTurboLayout(layout, 'turbo');
    const refOf = (layer: Json): BlobRef =>
      place === 'layout'
        ? fileRef(layout.pathOf(digestOf(layer)))
        : {
            kind: 'registry',
            host: 'a',
            repository: 'b',
            digest: digestOf(layer),
            size: sizeOf(layer),
          };
    /** Bytes of a blob, in memory. */
    const bytesOf = (digest: string): Buffer => readFileSync(layout.pathOf(digest));
    const numbers = [...layers, ...targets].map(digestOf);
    const remote = {
      open: ({ digest, size }: { digest: string; size: number }): Promise<CachedSpec> => {
        const blob = numbers.indexOf(digest);
        const about = { name: digest, digest, size, blob, fd: -1, slotsFd: -1 };
        return Promise.resolve({ kind: 'cached', ...about, state: ChunkMap.create(size).state });
      },
      doubt: () => Promise.resolve(false),
      drop: () => t.fail('its bytes are right'),
      close: () => undefined,
    } as unknown as RemoteImages;
    class Readers extends ReaderFactory {
      override source<K extends Parameters<ReaderFactory['source']>[0]['kind']>(spec: SpecOf<K>) {
        const cached: { kind: string } = spec;
        if (cached.kind !== 'cached') return super.source(spec);
        return new MemorySource(bytesOf((cached as CachedSpec).digest));
      }
    }
    const open = async (insecureToc: boolean): Promise<Cost> => {
      const cost = new Cost();
      const readers = new Readers(() => remote);
      const files = new ImageBlobs(new BlobPool(readers, () => remote));
      const keys = layers.map((layer) => keyOfRef(refOf(layer)));
      const plan = {
        name: 'image',
        lowers: layers.map(refOf),
        upper: null,
        trace: null,
        mayBeRaw: false,
        tocs: null,
        tocBlob: null,
        targets: new Map(
          targets.map((target, i) => [
            keys[i] as string,
            { target: refOf(target), gzipIndex: 'in layer' as const },
          ]),
        ),
        digests: new Map(
          layers.map((layer, i) => [keys[i] as string, { blob: digestOf(layer), plain: null }]),
        ),
        isOfImage: true,
        ...(insecureToc && { insecureToc }),
        notes: [],
      } as ImagePlan;
      const tools = { readers, effort: cost, records: null, sink: throwProblem };
      const opened = await openStack(plan, { ...tools, files, mayBeUpper: false });
      t.equal(opened.length, 2);
      files.release();
      return cost;
    };
    const bare = await open(true);
    const checked = await open(false);
    t.equal(bare.compared, 0, 'nothing is compared');
    const bytes = layers.reduce((sum, layer) => sum + sizeOf(layer), 0);
    t.equal(checked.compared, bytes, 'each archive is compared once');
    t.ok(bare.kept > 0);
    t.equal(checked.kept, bare.kept, 'tables count once');
    const hashing = layers.map((layer) => Math.ceil(sizeOf(layer) / DECODED_BYTES_A_UNIT));
    const sum = hashing.reduce((all, each) => all + each, 0);
    t.equal(checked.units, bare.units + sum, 'nothing is inflated or read again');
  });
}
