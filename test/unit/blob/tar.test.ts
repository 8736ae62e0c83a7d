// The tar wrapper: which files are recognized, where the payload is, and which files are refused.
import { test } from 'tap';
import {
  TAR_HEAD_SIZE,
  findTarPayload,
  isNamedAsLayer,
  isTarHeader,
  payloadStart,
  type TarPayload,
} from '../../../daemon/blob/tar.js';
import { textBytes } from '../../support/pattern.js';
import { wrapTar } from '../../support/tar-writer.js';

const BLOCK = 512;
const PAYLOAD = textBytes(1, 5000);

/** As the table of formats does it: from the first bytes to the payload. */
function find(bytes: Buffer): Promise<TarPayload | null> {
  const head = bytes.subarray(0, TAR_HEAD_SIZE);
  return Promise.resolve().then(() =>
    isTarHeader(head) ? findTarPayload(head, 'blob', bytes.length) : null,
  );
}

/** Recalculates the checksum of a changed header. */
function seal(header: Buffer, signed = false): Buffer {
  header.fill(' ', 148, 156);
  const sum = header.reduce((all, byte) => all + (signed && byte > 127 ? byte - 256 : byte), 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** A ustar file with a changed header. */
function ustarWith(change: (header: Buffer) => void): Buffer {
  const tar = wrapTar(PAYLOAD, { pax: false });
  change(tar.subarray(0, BLOCK));
  seal(tar.subarray(0, BLOCK));
  return tar;
}

/** A pax file with these records instead of its own; the member's header has `ustarSize`. */
function paxWith(records: string, ustarSize = 0): Buffer {
  const tar = wrapTar(PAYLOAD, { pax: true });
  const size = Buffer.byteLength(records);
  tar.write(`${size.toString(8).padStart(11, '0')} `, 124, 'latin1');
  seal(tar.subarray(0, BLOCK));
  tar.fill(0, BLOCK, 2 * BLOCK);
  tar.write(records, BLOCK);
  const member = tar.subarray(2 * BLOCK, 3 * BLOCK);
  member.write(`${ustarSize.toString(8).padStart(11, '0')} `, 124, 'latin1');
  seal(member);
  return tar;
}

/** A pax record with its correct length. */
function record(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length++;
  return `${length} ${key}=${value}\n`;
}

await test('ustar: the payload follows its header', async (t) => {
  t.same(await find(wrapTar(PAYLOAD, { pax: false })), { offset: 512, size: 5000 });
});

await test('pax: the payload is at byte 1536, its size is in the record', async (t) => {
  t.same(await find(wrapTar(PAYLOAD, { pax: true })), { offset: 1536, size: 5000 });
});

await test("pax without a size record: the size is in the member's header", async (t) => {
  t.same(await find(paxWith(record('path', 'x'), 4000)), { offset: 1536, size: 4000 });
  t.same(await find(paxWith('', 4000)), { offset: 1536, size: 4000 });
  t.same(await find(paxWith(record('size', '0'), 4000)), { offset: 1536, size: 4000 });
});

await test('pax records: any order, any bytes as values; the last size counts', async (t) => {
  const size = record('size', '4321');
  const bodies: Record<string, string> = {
    'after another': record('path', 'layer/überlay.commit') + size,
    'before another': size + record('mtime', '1.5'),
    twice: record('size', '17') + size,
    'after a value of two lines': record('comment', 'one\ntwo') + size,
    'after a value that looks like a record': record('comment', `x\n${record('size', '7')}`) + size,
    'after an empty value': record('comment', '') + size,
    'after a value with an equals sign': record('comment', 'a=b') + size,
    'after a longer key': record('GNU.sparse.size', '9') + size,
  };
  for (const [name, body] of Object.entries(bodies)) {
    t.same(await find(paxWith(body)), { offset: 1536, size: 4321 }, name);
  }
});

await test('malformed pax records are refused', async (t) => {
  const bodies: Record<string, string> = {
    'no length': 'size=5\n',
    'a length past the records': '99 size=5\n',
    'a length too short': '5 size=5\n',
    'no newline': record('size', '5').replace('\n', 'x'),
    'no equals sign': '7 size\n',
    'a size in words': record('size', 'many'),
    'a negative size': record('size', '-5'),
    'a size of 30 digits': record('size', '9'.repeat(30)),
    'length 0': '0 size=5\n',
  };
  for (const [name, body] of Object.entries(bodies)) {
    await t.rejects(
      find(paxWith(body)),
      { code: 'BAD_FORMAT', message: /^blob: tar pax records at byte \d+: expected / },
      name,
    );
  }
});

await test('pax records longer than one block are refused', async (t) => {
  const tar = paxWith('');
  tar.write('00000001001 ', 124, 'latin1');
  seal(tar.subarray(0, BLOCK));
  await t.rejects(find(tar), {
    code: 'BAD_FORMAT',
    message: 'blob: tar pax header size at byte 124: expected at most 512, got 513',
  });
});

await test('a bad member header is an error if the size must come from it', async (t) => {
  const tar = paxWith(record('path', 'x'), 4000);
  tar[2 * BLOCK] = 0xff;
  await t.rejects(find(tar), {
    code: 'BAD_FORMAT',
    message: /^blob: tar member header at byte 1024/,
  });
  const sized = wrapTar(PAYLOAD, { pax: true });
  sized[2 * BLOCK] = 0xff;
  t.same(await find(sized), { offset: 1536, size: 5000 });
});

await test('a size past the end of the file is refused', async (t) => {
  const tar = wrapTar(PAYLOAD, { pax: false });
  t.same(
    await find(tar.subarray(0, 512 + 5000)),
    { offset: 512, size: 5000 },
    'exactly the whole file',
  );
  await t.rejects(find(tar.subarray(0, 512 + 4999)), {
    code: 'BAD_FORMAT',
    message: "blob: tar member size at byte 512: expected at most 4999 (the file's end), got 5000",
  });
  await t.rejects(find(paxWith(record('size', String(2 ** 52)))), {
    message: /tar member size at byte 1536/,
  });
  for (const size of [512, 600, 1024, 1535]) {
    await t.rejects(find(wrapTar(PAYLOAD, { pax: true }).subarray(0, size)), {
      code: 'BAD_FORMAT',
    });
  }
});

await test('members of other kinds are refused by name', async (t) => {
  for (const typeflag of ['5', '2', 'L', 'g', 'K']) {
    const tar = ustarWith((header) => header.write(typeflag, 156));
    await t.rejects(find(tar), {
      code: 'BAD_FORMAT',
      message: `blob: tar typeflag at byte 156: expected a pax header or a regular file (x, 0), got "${typeflag}"`,
    });
  }
  const old = ustarWith((header) => void (header[156] = 0));
  t.same(await find(old), { offset: 512, size: 5000 }, 'the old type of a regular file');
});

await test('header checksums may be signed sums; with a wrong one it is not a tar', async (t) => {
  const high = ustarWith((header) => void header.write('\xff\xfe\x80', 0, 'latin1'));
  t.ok(await find(high));
  seal(high.subarray(0, BLOCK), true);
  t.ok(await find(high), 'signed sum');
  for (const at of [0, 100, 148, 300, 511]) {
    const tar = wrapTar(PAYLOAD, { pax: false });
    tar[at] = (tar[at] ?? 0) ^ 1;
    t.equal(await find(tar), null, `byte ${at}`);
  }
});

await test('only POSIX headers: GNU, other versions and old tars are not recognized', async (t) => {
  const gnu = ustarWith((header) => header.write('ustar  \0', 257, 'latin1'));
  t.equal(await find(gnu), null);
  t.equal(await find(ustarWith((header) => header.write('01', 263, 'latin1'))), null);
  t.equal(await find(ustarWith((header) => header.fill(0, 257, 265))), null);
  const nul = ustarWith((header) => header.write('ustar\x0000', 257, 'latin1'));
  t.ok(await find(nul));
});

await test('short files and files of other kinds are not tars', async (t) => {
  const tar = wrapTar(PAYLOAD, { pax: false });
  t.equal(await find(tar.subarray(0, 511)), null);
  t.equal(await find(Buffer.alloc(0)), null);
  t.equal(await find(Buffer.alloc(2048)), null);
  t.equal(isTarHeader(tar.subarray(0, 100)), false);
  t.equal(isTarHeader(tar), true, 'a longer buffer');
});

const named = (name: string, pax: boolean): boolean =>
  isNamedAsLayer(wrapTar(PAYLOAD, { pax, name }).subarray(0, TAR_HEAD_SIZE));

await test("overlaybd's own file in a tar has a name of its own", (t) => {
  for (const pax of [false, true]) {
    t.ok(named('overlaybd.commit', pax));
    t.ok(named('./overlaybd.commit', pax));
    t.notOk(named('overlaybd.commit2', pax));
    t.notOk(named('a/overlaybd.commit', pax));
    t.notOk(named('hello', pax));
    const tar = wrapTar(PAYLOAD, { pax });
    t.ok(tar.subarray(payloadStart(tar)).subarray(0, 5000).equals(PAYLOAD));
  }
  t.end();
});
