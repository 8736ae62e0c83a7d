// The FAT16 volume: its structures, and how mtools, an independent program, reads it.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { FatImage } from '../../support/fat-image.js';
import { textBytes } from '../../support/pattern.js';

const SIZE = 8 << 20;

function sample(): FatImage {
  const volume = new FatImage(SIZE, 'SAMPLE');
  volume.write('README.TXT', 'first\n');
  volume.write('LONG.BIN', textBytes(1, 5000));
  volume.write('EMPTY', '');
  return volume;
}

await test('the same calls make the same volume', async (t) => {
  t.ok(sample().bytes.equals(sample().bytes));
  t.equal(sample().bytes.length, SIZE);
});

await test('boot sector and both tables exist', async (t) => {
  const { bytes } = sample();
  t.equal(bytes.readUInt16LE(510), 0xaa55);
  t.equal(bytes.readUInt16LE(11), 512);
  t.equal(bytes.readUInt16LE(19), SIZE / 512);
  const tableSize = bytes.readUInt16LE(22) * 512;
  const first = bytes.subarray(512, 512 + tableSize);
  t.ok(first.equals(bytes.subarray(512 + tableSize, 512 + 2 * tableSize)));
  const table = Array.from({ length: 9 }, (_, cluster) => first.readUInt16LE(cluster * 2));
  t.same(table, [0xfff8, 0xffff, 0xffff, 4, 5, 6, 7, 0xffff, 0]);
});

await test('a replaced file keeps its clusters, a removed one frees them', async (t) => {
  const volume = sample();
  const before = Buffer.from(volume.bytes);
  volume.write('LONG.BIN', textBytes(2, 4100));
  const freed = volume.remove('LONG.BIN');
  t.equal(freed.length, 5);
  t.ok(
    volume.bytes.subarray(freed[0]?.offset).includes(textBytes(2, 4100)),
    'data stays in its place',
  );
  const start = freed[0]?.offset ?? 0;
  t.equal(before.subarray(start).indexOf(textBytes(1, 5000)), 0, 'the same place as before');
  volume.write('OTHER.TXT', 'x');
  t.equal(volume.bytes.toString('latin1', start, start + 2), 'x\0', 'freed clusters are reused');
  t.throws(() => volume.remove('LONG.BIN'), { message: 'fat image: no file LONG.BIN' });
});

await test('files that do not fit are refused', async (t) => {
  t.throws(() => new FatImage(1 << 20, 'SMALL'), { message: /not FAT16/ });
  const volume = new FatImage(SIZE, 'FULL');
  t.throws(() => volume.write('lower.txt', ''), { message: /8\.3 name/ });
  t.throws(() => volume.write('BIG.BIN', Buffer.alloc(SIZE)), { message: /no cluster left/ });
});

const noMtools =
  spawnSync('mdir', ['--version']).error && 'mtools is not installed: mdir and mtype not run';

await test('mtools reads the volume', { skip: noMtools ?? false }, async (t) => {
  const volume = sample();
  volume.write('README.TXT', 'second, and longer\n');
  volume.remove('EMPTY');
  const path = join(t.testdir(), 'volume.img');
  writeFileSync(path, volume.bytes);
  const run = (command: string, ...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(command, ['-i', path, ...args], {
      env: { ...process.env, MTOOLSRC: '/dev/null', LC_ALL: 'C', TZ: 'UTC' },
    });
    t.equal(status, 0, `${command}: ${stderr.toString()}`);
    return stdout;
  };
  const listing = run('mdir', '::').toString();
  t.match(listing, /Volume in drive : is SAMPLE/);
  t.match(listing, /README {3}TXT +19 2024-01-01 +12:00/);
  t.match(listing, /LONG {5}BIN +5000/);
  t.notMatch(listing, /EMPTY/);
  t.equal(run('mtype', '::README.TXT').toString(), 'second, and longer\n');
  t.ok(run('mtype', '::LONG.BIN').equals(textBytes(1, 5000)));
});
