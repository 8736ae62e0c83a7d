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

await test('without a header nothing is known', async (t) => {
  const source = new MemorySource(Buffer.alloc(2000, 1));
  await t.resolves(checkLastFile(source, 1024, 'the target'));
  await t.resolves(checkLastFile(source, 0, 'the target'));
});

await test('the map of a sparse file is before its contents', async (t) => {
  const map = Buffer.alloc(1024, '1\n');
  const padding = Buffer.alloc(324);
  for (const [what, entry] of Object.entries({
    'in its size': { content: Buffer.concat([map, bytes]) },
    'with blocks of its own': {
      type: 'S',
      content: Buffer.concat([map, bytes, padding]),
      size: 700,
    },
  })) {
    const whole = writeArchive([
      { name: 'a', content: 'x' },
      { name: 'b', ...entry },
    ]);
    const begin = whole.indexOf(bytes);
    for (const [cut, isWhole] of [
      [0, true],
      [1, false],
      [180, false],
    ] as const) {
      const source = new MemorySource(whole.subarray(0, begin + bytes.length - cut));
      const checked = checkLastFile(source, begin, 'the target');
      if (isWhole) await t.resolves(checked, what);
      else await t.rejects(checked, { code: 'BAD_FORMAT', message: /a file that ends at/ }, what);
    }
  }
});
