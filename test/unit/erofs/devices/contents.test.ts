// Where files have their contents: in blocks of the image, after their inodes, and on devices, by number or by block.
import { test } from 'tap';
import { DeviceContents } from '../../../../daemon/erofs/devices/contents.js';
import { readDeviceTable } from '../../../../daemon/erofs/devices/device-table.js';
import { ErofsImage } from '../../../../daemon/erofs/reader/image.js';
import { UNBOUNDED } from '../../../../daemon/lib/effort.js';
import type { DataRange } from '../../../../daemon/tree/layer-tree.js';
import {
  BLOCK,
  writeDevices,
  type Device,
  type DeviceFile,
} from '../../../support/erofs-devices-writer.js';
import { MemorySource } from '../../../support/memory-source.js';

const FILE = { mode: 0o100644 };
const ROOT: DeviceFile = { path: '', mode: 0o040755 };

interface Found {
  data: Map<string, DataRange[]>;
  sources: (string | number)[];
  contents: DeviceContents;
}

async function contentsOf(
  files: DeviceFile[],
  devices: Device[],
  change: (bytes: Buffer, inodes: Map<string, number>) => void = () => undefined,
): Promise<Found> {
  const { bytes, inodes } = writeDevices([ROOT, ...files], devices);
  change(bytes, inodes);
  const source = new MemorySource(bytes);
  const image = await ErofsImage.read(source, UNBOUNDED);
  const slots = await readDeviceTable(source, image.superblock);
  const contents = new DeviceContents(image, slots, UNBOUNDED);
  const data = new Map<string, DataRange[]>();
  await image.walk(UNBOUNDED, (entry) => {
    if (entry.path !== '') data.set(entry.path, contents.dataOf(entry));
  });
  const sources = contents.sources.map((each) => (typeof each === 'string' ? each : each.number));
  return { data, sources, contents };
}

await test('chunks on devices, holes, and runs that are joined', async (t) => {
  const { data, sources } = await contentsOf(
    [
      {
        ...FILE,
        path: 'a',
        size: 3 * BLOCK - 1,
        chunks: [
          [2, 4],
          [2, 5],
          [2, 6],
        ],
      },
      { ...FILE, path: 'b', size: 3 * BLOCK, chunks: [[1, 0], null, [2, 0]] },
      // Three devices need two bits: others do not count.
      { ...FILE, path: 'c', size: 5, chunks: [[0xfffd, 1]] },
      { ...FILE, path: 'd', size: 0 },
    ],
    [{ blocks: 2 }, { blocks: 7 }, { blocks: 1 }],
  );
  const by = (device: number): number => sources.indexOf(device);
  t.same(new Set(sources), new Set([1, 2]));
  t.same(data.get('a'), [
    { fileOffset: 0, length: 3 * BLOCK - 1, source: by(2), offset: 4 * BLOCK },
  ]);
  t.same(data.get('b'), [
    { fileOffset: 0, length: BLOCK, source: by(1), offset: 0 },
    { fileOffset: 2 * BLOCK, length: BLOCK, source: by(2), offset: 0 },
  ]);
  t.same(data.get('c'), [{ fileOffset: 0, length: 5, source: by(1), offset: BLOCK }]);
  t.same(data.get('d'), []);
});

await test('blocks that are numbered as those of the image, and last bytes after inodes', async (t) => {
  const inImage = 'y'.repeat(BLOCK);
  const { data, sources, contents } = await contentsOf(
    [
      { ...FILE, path: 'on device', size: BLOCK, block: 100 },
      { ...FILE, path: 'by chunks', size: 9, chunks: [[0, 101]] },
      { ...FILE, path: 'in image', inline: inImage },
      { ...FILE, path: 'tail', inline: 'short' },
      { ...FILE, path: 'other tail', inline: 'longer' },
    ],
    [
      { blocks: 5, firstBlock: 50 },
      { blocks: 2, firstBlock: 100 },
    ],
  );
  const range = (path: string): DataRange => data.get(path)?.[0] as DataRange;
  t.match(range('on device'), { source: sources.indexOf(2), offset: 0, length: BLOCK });
  t.match(range('by chunks'), { source: sources.indexOf(2), offset: BLOCK, length: 9 });
  t.match(range('in image'), { source: sources.indexOf('image'), length: BLOCK });
  const tails = [range('tail'), range('other tail')];
  t.ok(tails.every(({ source }) => source === sources.indexOf('tails')));
  t.same(new Set(tails.map(({ offset }) => offset)), new Set([0, BLOCK]));
  const { table } = contents.tails();
  t.equal(table.size, BLOCK + 512);
  t.equal(table.count, 2);
});

function one(file: Partial<DeviceFile>): DeviceFile[] {
  return [{ ...FILE, path: 'f', ...file }];
}

await test('what is refused, with the file and its place', async (t) => {
  const cases: [files: DeviceFile[], code: string, message: RegExp][] = [
    [
      one({ size: 9, chunks: [[1, 2]] }),
      'BAD_FORMAT',
      /entry "f" at byte \d+: contents up to byte 8201 of device 1, which ends at 8192/,
    ],
    [one({ size: 9, chunks: [[3, 0]] }), 'BAD_FORMAT', /contents on device 3, and the last is 2/],
    [
      one({ size: 9, chunks: [[0, 12]] }),
      'BAD_FORMAT',
      /contents up to byte 49161 of the image, which ends at/,
    ],
    [
      one({ size: 2 * BLOCK, block: 51 }),
      'BAD_FORMAT',
      /contents up to byte 12288 of device 2, which ends at 8192/,
    ],
    [one({ size: 2 ** 45, block: 0 }), 'LIMIT', /a file of \d+ bytes, at most \d+/],
  ];
  const devices = [{ blocks: 2 }, { blocks: 2, firstBlock: 50 }];
  for (const [files, code, message] of cases) {
    await t.rejects(contentsOf(files, devices), { code, message });
  }
  const compressed = contentsOf(one({ size: 9, block: 0 }), devices, (bytes, inodes) => {
    bytes.writeUInt16LE(3, inodes.get('f'));
  });
  await t.rejects(compressed, { code: 'UNSUPPORTED', message: /compressed contents, in an image/ });
});

await test('an inode that is read for many names cannot have any number of chunks', async (t) => {
  const chunks = Array.from({ length: 50 }, (): [number, number] => [1, 0]);
  const first: DeviceFile = { ...FILE, path: 'f', size: 50 * BLOCK, chunks };
  const names = (count: number): DeviceFile[] => [
    first,
    ...Array.from({ length: count }, (_, i) => ({ ...FILE, path: `n${i}`, linkTo: 'f' })),
  ];
  await t.resolves(contentsOf(names(10), [{ blocks: 1 }]));
  await t.rejects(contentsOf(names(100), [{ blocks: 1 }]), {
    code: 'BAD_FORMAT',
    message: /numbers of chunks that other files have, too: more than the \d+ bytes of the image/,
  });
});
