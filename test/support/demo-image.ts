// Makes the small two-layer image that `npm start` serves; it starts nothing.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FatImage } from './fat-image.js';
import { SECTOR } from './lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from './lsmt-writer.js';
import { textBytes } from './pattern.js';
import { wrapTar } from './tar-writer.js';
import { writeZfile } from './zfile-writer.js';

const VIRTUAL_SIZE = 8 << 20;
const BOTTOM_UUID = '0BD00000-0000-4000-8000-000000000001';
const TOP_UUID = '0BD00000-0000-4000-8000-000000000002';

export interface DemoLayer {
  file: string;
  /** Bytes of the file. */
  size: number;
  /** Its content and its wrappers. */
  about: string;
}

export interface DemoImage {
  config: string;
  /** Bytes. */
  virtualSize: number;
  /** Bottom first. */
  layers: DemoLayer[];
  /** The expected bytes of the served disk. */
  device: Buffer;
}

/** Writes two layers and config.v1.json (with paths relative to itself) to `folder`. */
export function writeDemoImage(folder: string): DemoImage {
  const volume = new FatImage(VIRTUAL_SIZE, 'OVERLAYBD');
  volume.write('README.TXT', README_BEFORE);
  volume.write('OLD.TXT', textBytes(1, 20_000));
  volume.write('POEM.TXT', textBytes(2, 5_000));
  const before = Buffer.from(volume.bytes);

  volume.write('README.TXT', README_AFTER);
  // Added before the deletion, so that the freed clusters stay free and can be zeroed.
  volume.write('NEW.TXT', 'This file is in the upper layer only.\n');
  const freed = volume.remove('OLD.TXT');
  for (const { offset, length } of freed) volume.bytes.fill(0, offset, offset + length);
  const device = volume.bytes;

  const zeroed = new Set<number>();
  for (const { offset, length } of freed) {
    for (let at = offset; at < offset + length; at += SECTOR) zeroed.add(at / SECTOR);
  }
  const bottom = wrapTar(
    writeZfile(
      writeLsmt({
        virtualSize: VIRTUAL_SIZE,
        uuid: BOTTOM_UUID,
        userTag: 'overlaybd-nbd demo, layer 0',
        segments: changes(Buffer.alloc(VIRTUAL_SIZE), before, new Set()),
      }),
      { algorithm: 'lz4' },
    ),
    { pax: true },
  );
  const top = writeZfile(
    writeLsmt({
      virtualSize: VIRTUAL_SIZE,
      uuid: TOP_UUID,
      parentUuid: BOTTOM_UUID,
      userTag: 'overlaybd-nbd demo, layer 1',
      segments: changes(before, device, zeroed),
    }),
    { algorithm: 'zstd' },
  );

  const files = { 'layer0.tar': bottom, 'layer1.obd': top };
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  const config = join(folder, 'config.v1.json');
  const lowers = Object.keys(files).map((file) => ({ file }));
  writeFileSync(config, `${JSON.stringify({ repoBlobUrl: '', lowers }, null, 2)}\n`);
  return {
    config,
    virtualSize: VIRTUAL_SIZE,
    layers: [
      {
        file: 'layer0.tar',
        size: bottom.length,
        about: 'a FAT file system with README.TXT, OLD.TXT and POEM.TXT (LSMT in LZ4 ZFile in tar)',
      },
      {
        file: 'layer1.obd',
        size: top.length,
        about: 'README.TXT edited, NEW.TXT added, OLD.TXT deleted and zeroed (LSMT in zstd ZFile)',
      },
    ],
    device,
  };
}

/** Segments that turn `before` into `after`; sectors in `zeroed` become zeroed segments. */
function changes(before: Buffer, after: Buffer, zeroed: ReadonlySet<number>): LsmtSegment[] {
  const segments: LsmtSegment[] = [];
  const kindOf = (sector: number) => {
    if (zeroed.has(sector)) return 'zeroed';
    const [start, end] = [sector * SECTOR, (sector + 1) * SECTOR];
    return before.compare(after, start, end, start, end) === 0 ? 'same' : 'data';
  };
  const sectors = after.length / SECTOR;
  let start = 0;
  while (start < sectors) {
    const kind = kindOf(start);
    let end = start + 1;
    while (end < sectors && kindOf(end) === kind) end++;
    const length = end - start;
    if (kind === 'zeroed') segments.push({ offset: start, length, zeroed: true });
    if (kind === 'data') {
      segments.push({ offset: start, length, data: after.subarray(start * SECTOR, end * SECTOR) });
    }
    start = end;
  }
  return segments;
}

const README_BEFORE = `Hello from the bottom layer.

If you read this, the upper layer is missing.
`;

const README_AFTER = `Hello from two layers.

The file system and most files come from layer 0. This text, the directory and
NEW.TXT come from layer 1, which holds only the sectors that changed. OLD.TXT
was deleted: layer 1 covers its data with zeros.
`;
