// The tar wrapper compared with header bytes that the reference wrote, and checked as a tar program does.
import { test } from 'tap';
import { tarPayload } from '../../support/naive-reader.js';
import { randomBytes } from '../../support/pattern.js';
import { wrapTar } from '../../support/tar-writer.js';

/** The checksum as POSIX defines it: the sum of all bytes, with spaces in its own field. */
function checksum(header: Buffer): number {
  const copy = Buffer.from(header).fill(' ', 148, 156);
  return copy.reduce((sum, byte) => sum + byte, 0);
}

const text = (tar: Buffer, start: number, end: number) => tar.toString('latin1', start, end);

await test('pax: both headers equal those of overlaybd-commit -t', async (t) => {
  const payload = randomBytes(1, 112_167);
  const tar = wrapTar(payload, { pax: true });
  t.equal(text(tar, 0, 14), 'overlaybd.pax\0');
  t.equal(text(tar, 124, 136), '         17 ');
  t.equal(text(tar, 148, 158), '  5356 \0x\0');
  t.equal(text(tar, 257, 265), 'ustar\x0000');
  t.equal(text(tar, 512, 528), '15 size=112167\n\0');
  t.equal(text(tar, 1024, 1041), 'overlaybd.commit\0');
  t.equal(text(tar, 1024 + 100, 1024 + 124), '100644 \0     0 \0     0 \0');
  t.equal(text(tar, 1024 + 124, 1024 + 158), '          0           0  12025 \x000\0');
  t.equal(text(tar, 1024 + 265, 1024 + 270), 'root\0');
  t.equal(tar.length, 115_200);
  t.ok(tarPayload(tar).equals(payload));
  t.ok(tar.subarray(1536 + payload.length).equals(Buffer.alloc(115_200 - 1536 - payload.length)));
});

await test('ustar alone: payload at 512, size in its header', async (t) => {
  const payload = randomBytes(2, 1024);
  const tar = wrapTar(payload, { pax: false });
  t.equal(tar.length, 512 + 1024 + 1024, 'no gap after whole blocks');
  t.equal(Number.parseInt(text(tar, 124, 136), 8), 1024);
  t.equal(Number.parseInt(text(tar, 148, 156), 8), checksum(tar.subarray(0, 512)));
  t.ok(tarPayload(tar).equals(payload));
});

await test('the length of a pax record includes its own digits', async (t) => {
  for (const size of [1, 9, 10, 99_999, 100_000]) {
    const record = text(wrapTar(Buffer.alloc(size), { pax: true }), 512, 1024).replace(/\0+$/, '');
    t.equal(record, `${record.length} size=${size}\n`);
  }
});
