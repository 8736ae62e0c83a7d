// The gzip member with the table of contents of eStargz: its limit, and what is no table.
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { inflateToc } from '../../../daemon/estargz/gzip-toc.js';
import { MAX_TOC_BYTES } from '../../../daemon/estargz/limits.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { writeUstar } from '../../support/ustar.js';

const MEMBER = { blob: 'blob', offset: 7, effort: UNBOUNDED };
const NAME = 'stargz.index.json';

/** A table with a header that says another size. */
function sized(size: number): Buffer {
  const tar = writeUstar([{ name: NAME, bytes: Buffer.from('{}') }]);
  tar.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  tar.fill(' ', 148, 156);
  const sum = tar.subarray(0, 512).reduce((all, byte) => all + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return gzipSync(tar);
}

await test('the text is that of the one file', async (t) => {
  const tar = writeUstar([{ name: NAME, bytes: Buffer.from('{"version":1}') }]);
  t.equal((await inflateToc(gzipSync(tar), MEMBER)).toString(), '{"version":1}');
});

await test('a table that is too large is named for that, before memory is taken for it', async (t) => {
  await t.rejects(inflateToc(sized(MAX_TOC_BYTES + 1), MEMBER), {
    code: 'LIMIT',
    message: `blob: table of contents at byte 7: expected at most ${MAX_TOC_BYTES} bytes of JSON, got ${MAX_TOC_BYTES + 1}`,
  });
  // This one may be as large as it says, and is not.
  await t.rejects(inflateToc(sized(MAX_TOC_BYTES), MEMBER), {
    code: 'BAD_FORMAT',
    message: /expected 157286400 bytes of JSON, got \d+$/,
  });
});

await test('what is no table', async (t) => {
  const other = gzipSync(writeUstar([{ name: 'other\u001b', bytes: Buffer.from('{}') }]));
  await t.rejects(inflateToc(other, MEMBER), {
    code: 'BAD_FORMAT',
    message: /expected a tar with stargz\.index\.json, got "other\\u\{1b\}"/,
  });
  await t.rejects(inflateToc(Buffer.from('no gzip'), MEMBER), { message: /not a gzip member/ });
});
