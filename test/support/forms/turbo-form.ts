// Layers of files as layers of a disk, as turboOCI has them: each is an LSMT layer with the metadata of a file system, and
// the contents of its files stay in the archive that it is made of. A layer is what its device has other than the device of the
// layers below it.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { writeErofs } from '../../../daemon/erofs/write.js';
import { readArchive } from '../../../daemon/tarball/read-archive.js';
import type { EntryDraft } from '../../../daemon/tree/builder.js';
import type { LayerTree } from '../../../daemon/tree/layer-tree.js';
import { mergeLayers } from '../../../daemon/tree/merge.js';
import { writeDrafts } from '../draft-archive.js';
import { deviceOf } from '../erofs/device.js';
import { gzipIndexOf, writeGzipIndex } from '../gzip-index-writer.js';
import { SECTOR } from '../lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../lsmt-writer.js';
import { MemorySource } from '../memory-source.js';
import { wrap, type Wrapper } from '../wrapper.js';
import { inMembers } from './archive-form.js';

export interface TurboOptions {
  /** 'none': an ordinary layer of overlaybd, which has the contents of files itself. */
  readonly target: 'none' | 'tar' | 'tar.gz';
  readonly wrapper: Wrapper;
  /** Of sparse files: 0 to 3. */
  readonly sparseForm: number;
  /** Plain bytes in each gzip member. */
  readonly memberSize: number;
  /** Plain bytes between two checkpoints. */
  readonly spanSize: number;
  /** Whether members have checkpoints, too. */
  readonly atMembers: boolean;
  /** Sectors: how long a segment is at most. */
  readonly longest: number;
}

interface Layer {
  /** As the archive has it. */
  readonly tree: LayerTree;
  readonly archive: Buffer;
}

/** The bytes of a device, and where a layer has each of its sectors. */
interface Device {
  readonly bytes: Buffer;
  /** By the sector: sector of the archive of the topmost layer, or one of the others. */
  readonly places: readonly number[];
}

/** In the places of a device: nothing is there; bytes that are in no archive, or in that of a lower layer. */
const HOLE = -2;
const OWN = -1;

/** Writes the files of an image. @returns the path of its configuration */
export async function writeTurboForm(
  folder: string,
  layers: readonly EntryDraft[][],
  options: readonly TurboOptions[],
): Promise<string> {
  const lowers: object[] = [];
  const done: Layer[] = [];
  let below: Buffer = Buffer.alloc(0);
  for (const [i, drafts] of layers.entries()) {
    const option = options[i] as TurboOptions;
    const archive = writeDrafts(drafts, option.sparseForm).bytes;
    const tree = await readArchive(new MemorySource(archive, `archive ${i}`), UNBOUNDED);
    done.push({ tree, archive });
    const device = deviceOfLayers(done);
    const virtualSize = device.bytes.length;
    const segments = segmentsOf(device, below, option);
    // What a layer further below has after its end is there for a layer whose device is longer.
    below = Buffer.concat([device.bytes, below.subarray(virtualSize)]);
    const write = (name: string, bytes: Buffer): string => {
      writeFileSync(join(folder, `${i}.${name}`), bytes);
      return `${i}.${name}`;
    };
    const file = write('fs.meta', wrap(writeLsmt({ virtualSize, segments }), option.wrapper));
    lowers.push({ file, ...(await writeTarget(archive, option, write)) });
  }
  const path = join(folder, 'config.v1.json');
  writeFileSync(path, JSON.stringify({ repoBlobUrl: '', lowers }));
  return path;
}

async function writeTarget(
  archive: Buffer,
  { target, memberSize, spanSize, atMembers }: TurboOptions,
  write: (name: string, bytes: Buffer) => string,
): Promise<object> {
  if (target === 'none') return {};
  if (target === 'tar') return { targetFile: write('tar', archive) };
  const gzip = inMembers(archive, { codec: 'gzip', memberSize });
  const index = writeGzipIndex(await gzipIndexOf(gzip, spanSize, atMembers));
  return { targetFile: write('tar.gz', gzip), gzipIndex: write('gzip.meta', index) };
}

function deviceOfLayers(layers: readonly Layer[]): Device {
  const written = writeErofs(mergeLayers(layers.map(({ tree }) => tree)), { uuidSeed: [] });
  const { rows, deviceSize } = written;
  const sources = layers.filter(({ tree }) => tree.sourceCount > 0);
  const archives = sources.map(({ archive }) => archive);
  const places = Array.from({ length: deviceSize / SECTOR }, () => HOLE);
  for (let i = 0; i < rows.count; i++) {
    const source = sources[(rows.sources[i] as number) - 1];
    const isOfTop = source !== undefined && source === layers.at(-1);
    for (let k = 0; k < (rows.lengths[i] as number); k++) {
      places[(rows.sectors[i] as number) + k] = isOfTop ? (rows.moffsets[i] as number) + k : OWN;
    }
  }
  return { bytes: deviceOf(written, archives)(0, deviceSize), places };
}

/** @param below what the layers below have */
function segmentsOf(
  { bytes, places }: Device,
  below: Buffer,
  { target, longest }: TurboOptions,
): LsmtSegment[] {
  const segments: LsmtSegment[] = [];
  let last: LsmtSegment | undefined;
  for (const [i, place] of places.entries()) {
    const there = sectorsOf(below, i, 1);
    const isSame = there.length === 0 ? place === HOLE : there.equals(sectorsOf(bytes, i, 1));
    // What is in the archive is mapped again, so that there are always segments of it.
    if (place < 0 && isSame) continue;
    const kind = kindOf(place, target);
    if (!last || last.length === longest || !goesOn(last, i, kind)) {
      last = { offset: i, length: 0, ...kind };
      segments.push(last);
    }
    last.length++;
  }
  return segments.map((segment) => {
    const { offset, length, zeroed, moffset } = segment;
    const isData = zeroed !== true && moffset === undefined;
    return isData ? { ...segment, data: sectorsOf(bytes, offset, length) } : segment;
  });
}

function sectorsOf(bytes: Buffer, offset: number, length: number): Buffer {
  return bytes.subarray(offset * SECTOR, (offset + length) * SECTOR);
}

type Kind = Pick<LsmtSegment, 'tag' | 'zeroed' | 'moffset'>;

function goesOn({ offset, length, ...last }: LsmtSegment, sector: number, next: Kind): boolean {
  return (
    offset + length === sector &&
    last.tag === next.tag &&
    last.zeroed === next.zeroed &&
    (last.moffset === undefined ? undefined : last.moffset + length) === next.moffset
  );
}

function kindOf(place: number, target: TurboOptions['target']): Kind {
  if (place === HOLE) return { tag: 0, zeroed: true };
  return place === OWN || target === 'none' ? { tag: 0 } : { tag: 1, moffset: place };
}
