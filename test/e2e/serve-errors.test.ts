// Damaged and lost bytes under a running daemon: EIO for requests that need them, and no effect on other requests.
import {
  closeSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { NBD_EIO } from '../../daemon/nbd/constants.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeRaw, writeZfileLayer } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';

t.setTimeout(900_000);

const BLOCK = 4096;
const SIZE = 2 << 20;

/** Flips one bit of a file in place, which a daemon that has it open notices. */
function flip(path: string, at: number): void {
  const byte = readFileSync(path)[at] as number;
  const fd = openSync(path, 'r+');
  writeSync(fd, Buffer.from([byte ^ 0x10]), 0, 1, at);
  closeSync(fd);
}

/** The blocks of the disk that cannot be read. */
async function brokenBlocks(test: Test, client: RawNbdClient, expected: Buffer): Promise<number[]> {
  const broken: number[] = [];
  for (let at = 0; at < SIZE; at += BLOCK) {
    const error = await client.command({ offset: at, length: BLOCK });
    if (error === 0) {
      const data = await client.take(BLOCK);
      if (!data.equals(expected.subarray(at, at + BLOCK))) test.fail(`wrong bytes at ${at}`);
    } else {
      test.equal(error, NBD_EIO);
      broken.push(at / BLOCK);
    }
  }
  return broken;
}

for (const format of ['pretty', 'json'] as const) {
  await t.test(`a corrupt block is EIO until it is repaired (${format} log)`, async (test) => {
    const folder = shortFolder(test);
    const path = join(folder, 'layer.obd');
    const expected = writeZfileLayer(path, 4, SIZE);
    const daemon = await DaemonProcess.start(test, [
      path,
      '--log-format',
      format,
      '--threads',
      '1',
    ]);
    const client = await RawNbdClient.open(daemon.unix);
    test.ok((await client.read(0, SIZE)).equals(expected));

    const at = Math.floor(readFileSync(path).length / 2);
    flip(path, at);
    const broken = await brokenBlocks(test, client, expected);
    test.equal(broken.length, 1, 'one block; its neighbours can be read');
    const [line, ...more] = await daemon.waitForLines(/failed/);
    test.same(more, [], 'exactly one line');
    // Block 0 holds the header of the LSMT blob, so blocks of the disk are one block later.
    const block = (broken[0] ?? 0) + 1;
    test.match(line, `layer.obd`);
    test.match(line, new RegExp(`block ${block}\\b`), 'the line names blob and block');
    const times = format === 'json' ? 2 : 1;
    test.equal(line?.split('checksum').length, 1 + times, 'once in the text, and once as a field');
    if (format === 'json') {
      const fields = JSON.parse(line ?? '') as Record<string, unknown>;
      test.match(fields, { level: 'error', code: 'BAD_CHECKSUM', length: BLOCK });
      const facts = { blob: /layer\.obd/, section: `block ${block}`, expected: /checksum/ };
      test.match(fields, { ...facts, blobOffset: Number, got: String });
      test.equal(fields['offset'], (broken[0] ?? 0) * BLOCK);
    }

    // A read that only touches it, a long read, a read that needs one byte: each fails and is counted.
    const begin = (broken[0] ?? 0) * BLOCK;
    for (const [offset, length] of [
      [begin - 10, 20],
      [begin + 4095, 1],
      [begin - 300_000, 600_000],
      [0, SIZE],
    ] as const) {
      test.equal(await client.command({ offset, length }), NBD_EIO);
    }
    test.ok((await client.read(begin - 100, 100)).equals(expected.subarray(begin - 100, begin)));
    const other = await RawNbdClient.open(daemon.unix);
    test.ok((await other.read(0, 1000)).equals(expected.subarray(0, 1000)), 'other clients go on');
    await other.disconnect();

    flip(path, at);
    test.same(await brokenBlocks(test, client, expected), [], 'the repaired block is read again');
    test.ok((await client.read(0, SIZE)).equals(expected));
    await client.disconnect();
    const [closed] = await daemon.waitForLines(/5 errors/);
    test.ok(closed, 'the failures are counted');
    const [, counted] = await daemon.waitForLines(/failed/, 2);
    test.match(counted, ': 4 more reads failed likewise, the last: ');
    test.match(counted, new RegExp(`block ${block}\\b`));
    await daemon.stop(test);
    test.equal(daemon.lines(/failed/).length, 2, 'no further lines');
  });
}

await t.test('a file that is cut is EIO, and readable when it grows again', async (test) => {
  const folder = shortFolder(test);
  const path = join(folder, 'raw.img');
  const expected = writeRaw(path, 8, SIZE);
  const daemon = await DaemonProcess.start(test, [path]);
  const client = await RawNbdClient.open(daemon.unix);
  truncateSync(path, SIZE / 2 + 100);
  test.equal(
    await client.command({ offset: SIZE / 2, length: 4096 }),
    NBD_EIO,
    'no zeros are sent',
  );
  test.equal(await client.command({ offset: SIZE - 4096, length: 4096 }), NBD_EIO);
  test.equal(await client.command({ offset: 0, length: SIZE }), NBD_EIO);
  test.ok((await client.read(0, SIZE / 2)).equals(expected.subarray(0, SIZE / 2)));
  const [line] = await daemon.waitForLines(/failed/, 3);
  test.match(line, /raw\.img.*file ends/);
  writeFileSync(path, expected);
  test.ok((await client.read(0, SIZE)).equals(expected));
  await client.disconnect();
  await daemon.stop(test);
});

await t.test('a deleted file is served until it is closed', async (test) => {
  const folder = shortFolder(test);
  const path = join(folder, 'raw.img');
  const expected = writeRaw(path, 8, SIZE);
  const daemon = await DaemonProcess.start(test, [path]);
  rmSync(path);
  const client = await RawNbdClient.open(daemon.unix);
  test.ok((await client.read(0, SIZE)).equals(expected));
  await client.disconnect();
  await daemon.stop(test);
});
