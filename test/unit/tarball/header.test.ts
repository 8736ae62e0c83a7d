// Headers of archives: forms, numbers, checksums.
import { test } from 'tap';
import { isZeroBlock, looksLikeTar, parseHeader } from '../../../daemon/tarball/header.js';
import { sealArchiveHeader, writeArchive } from '../../support/archive-writer.js';

const place = { blob: 'layer', offset: 1024 };

function block(change: (bytes: Buffer) => void = () => undefined): Buffer {
  const bytes = Buffer.from(writeArchive([{ name: 'name' }]).subarray(0, 512));
  change(bytes);
  return sealArchiveHeader(bytes);
}

const path = (magic: string, trailer = ''): string => {
  const bytes = block((each) => {
    each.write(magic, 257, 'latin1');
    each.write('prefix', 345, 'latin1');
    each.write(trailer, 508, 'latin1');
    if (trailer !== '') each.write('00000000000 ', 476, 'latin1');
  });
  return parseHeader(bytes, place).path;
};

await test('the prefix belongs to the path in POSIX and star archives, and not in those of GNU', (t) => {
  t.equal(path('ustar\x0000'), 'prefix/name');
  t.equal(path('ustar\x00\0\0', 'tar\0'), 'prefix/name');
  t.equal(path('ustar  \0'), 'name');
  t.equal(path('\0\0\0\0\0\0\0\0'), 'name');
  t.end();
});

const mtime = (bytes: string): number =>
  parseHeader(
    block((each) => each.write(bytes, 136, 12, 'latin1')),
    place,
  ).mtime;

await test('numbers are octal or binary', (t) => {
  t.equal(mtime('00000000017 '), 15);
  t.equal(mtime('         17\0'), 15);
  t.equal(mtime('777777777777'), 8 ** 12 - 1);
  t.equal(mtime('\0\0\0\0\0\0\0\0\0\0\0\0'), 0);
  t.equal(mtime('\x80\0\0\0\0\0\0\0\0\0\x01\x02'), 258);
  t.equal(mtime('\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe'), -2);
  t.throws(() => mtime('8'), {
    code: 'BAD_FORMAT',
    message: /^layer: tar header: mtime at byte 1024: expected octal digits, got "8/,
  });
  t.throws(() => mtime('\x80\0\0\0\0\x20\0\0\0\0\0\0'), {
    code: 'LIMIT',
    message: /got 9007199254740992/,
  });
  t.end();
});

await test('a negative size is refused', (t) => {
  const bytes = block((each) => each.fill(0xff, 124, 136));
  t.throws(() => parseHeader(bytes, place), { message: /size .*got -1/ });
  t.end();
});

await test('checksums of signed and unsigned bytes', (t) => {
  const bytes = block((each) => each.write('\xe9\xe8', 0, 'latin1'));
  t.equal(parseHeader(bytes, place).path, '\xe9\xe8me');
  const unsigned = Number.parseInt(bytes.toString('latin1', 148, 154), 8);
  bytes.write(`${(unsigned - 512).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  t.equal(parseHeader(bytes, place).path, '\xe9\xe8me');
  bytes.write('000001\0 ', 148, 'latin1');
  t.throws(() => parseHeader(bytes, place), { code: 'BAD_FORMAT', message: /checksum/ });
  t.end();
});

await test('what is taken for an archive', (t) => {
  const v7 = block((each) => each.fill(0, 257, 265));
  t.ok(looksLikeTar(v7), 'a checksum');
  const damaged = block();
  damaged[0] = 0x7a;
  t.ok(looksLikeTar(damaged), 'a magic number');
  t.notOk(looksLikeTar(damaged.subarray(0, 511)), 'too short');
  t.notOk(looksLikeTar(Buffer.alloc(512)), 'zeros');
  t.ok(isZeroBlock(Buffer.alloc(512)));
  t.notOk(isZeroBlock(v7));
  t.end();
});
