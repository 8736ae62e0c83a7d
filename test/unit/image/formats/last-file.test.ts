// The header of a last file, and the extended header before it.
import { test } from 'tap';
import { checkLastFile } from '../../../../daemon/image/formats/last-file.js';
import { paxRecord, writeArchive } from '../../../support/archive-writer.js';
import { MemorySource } from '../../../support/memory-source.js';
import { randomBytes } from '../../../support/pattern.js';

const bytes = randomBytes(1, 700);

/** @param size in its header, and `pax` what is in an extended one. @param cut bytes that are lost */
async function check(size: number, pax: string | null, cut = 0): Promise<void> {
  const whole = writeArchive([
    { name: 'a', content: 'x' },
    ...(pax === null ? [] : [{ name: 'pax', type: 'x', content: pax }]),
    { name: 'b', content: bytes, size },
  ]);
  const begin = whole.indexOf(bytes);
  const target = whole.subarray(0, begin + bytes.length - cut);
  return checkLastFile(new MemorySource(target), begin, 'the target');
}

await test('the size in the header, or in the extended one before it', async (t) => {
  await t.resolves(check(700, null));
  await t.resolves(check(0, paxRecord('size', '700')));
  const long = paxRecord('comment', 'x'.repeat(64 * 512 - 100));
  await t.resolves(check(0, long + paxRecord('size', '700')));
  const message = /blob: the target at byte \d+: expected the header of a file that ends with/;
  const refused = { code: 'BAD_FORMAT', message };
  await t.rejects(check(700, null, 1), refused);
  await t.rejects(check(0, paxRecord('size', '700'), 1), refused);
  await t.rejects(check(0, paxRecord('size', '100')), refused);
  await t.rejects(check(0, paxRecord('mtime', '700')), refused);
  await t.rejects(check(0, paxRecord('size', '-700')), refused);
  await t.rejects(check(0, 'no records'), refused);
  await t.rejects(check(0, long + long + paxRecord('size', '700')), refused, 'too long');
});

await test('no header', async (t) => {
  const message = /got no header$/;
  const source = new MemorySource(Buffer.alloc(2000, 1));
  await t.rejects(checkLastFile(source, 1024, 'the target'), { code: 'BAD_FORMAT', message });
  await t.rejects(checkLastFile(source, 0, 'the target'), { code: 'BAD_FORMAT', message });
});
