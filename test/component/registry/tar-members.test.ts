// The members of archives: every form of header, limits, and hostile archives.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { readTarMembers } from '../../../daemon/registry/tar-members.js';
import {
  archiveMember,
  paxRecord,
  sealArchiveHeader,
  writeArchive,
  type ArchiveMember,
} from '../../support/archive-writer.js';
import { holds } from '../../support/holds.js';
import { usualOrLong } from '../../support/long-tests.js';
import { MemorySource } from '../../support/memory-source.js';
import { SEED } from '../../support/seed.js';

const read = (bytes: Buffer) => readTarMembers(new MemorySource(bytes, 'a.tar'));
const file = (name: string, content = 'x'): ArchiveMember => ({ name, content });
const LONG = 'd/'.repeat(80) + 'file';

await test('files and links, and nothing else', async (t) => {
  const bytes = writeArchive([
    { name: 'd/', type: '5' },
    file('d/a', 'twelve bytes'),
    { name: 'link', type: '2', content: 'd/a' },
    { name: 'hard', type: '1', content: 'd/a', size: 12 },
    { name: 'pipe', type: '6' },
    { ...file('old'), type: '\0' },
  ]);
  t.same(await read(bytes), [
    { name: 'd/a', link: null, offset: 1024, size: 12 },
    { name: 'link', link: { target: 'd/a', isSymbolic: true }, offset: 2048, size: 0 },
    { name: 'hard', link: { target: 'd/a', isSymbolic: false }, offset: 2560, size: 0 },
    { name: 'old', link: null, offset: 3584, size: 1 },
  ]);
});

await test('pax and GNU headers are of the next member only', async (t) => {
  const pax = paxRecord('path', LONG) + paxRecord('size', '3') + paxRecord('mtime', '1.5');
  const bytes = writeArchive([
    { name: 'global', type: 'g', content: paxRecord('path', 'wrong') },
    { name: 'pax', type: 'x', content: pax },
    { name: 'short', content: 'abc', size: 0 },
    { name: '././@LongLink', type: 'L', content: `${LONG}\0` },
    { name: '././@LongLink', type: 'K', content: `${LONG}2\0` },
    { name: 'short', type: '2' },
    file('last'),
  ]);
  const members = await read(bytes);
  t.match(members, [
    { name: LONG, size: 3 },
    { name: LONG, link: { target: `${LONG}2` } },
    { name: 'last', size: 1 },
  ]);
  t.equal(bytes.toString('latin1', members[0]?.offset, (members[0]?.offset ?? 0) + 3), 'abc');
});

await test('the prefix of POSIX names', async (t) => {
  const member = archiveMember(file('name'));
  member.write('some/folder', 345, 'latin1');
  sealArchiveHeader(member);
  t.match(await read(member), [{ name: 'some/folder/name' }]);
  member.write('ustar  \0', 257, 'latin1');
  sealArchiveHeader(member);
  t.match(await read(member), [{ name: 'name' }], "GNU's form has times there");
});

await test('an archive of tar(1)', async (t) => {
  const folder = t.testdir({ files: { a: 'aa', ['n'.repeat(120)]: 'bbb' } });
  for (const format of ['gnu', 'pax', 'ustar']) {
    const path = join(folder, `${format}.tar`);
    const names = format === 'ustar' ? ['a'] : ['.'];
    const { status } = spawnSync('tar', [
      `--format=${format}`,
      '-cf',
      path,
      '-C',
      join(folder, 'files'),
      ...names,
    ]);
    t.equal(status, 0);
    const bytes = readFileSync(path);
    const found = new Map(
      (await read(bytes)).map(({ name, offset, size }) => [
        name.length,
        bytes.toString('latin1', offset, offset + size),
      ]),
    );
    t.equal(found.get(format === 'ustar' ? 1 : 3), 'aa', format);
    if (format !== 'ustar') t.equal(found.get(122), 'bbb', format);
  }
});

await test('broken headers name their place', async (t) => {
  const bad = (bytes: Buffer, message: RegExp, code = 'BAD_FORMAT') =>
    t.rejects(read(bytes), { code, message });
  const good = archiveMember(file('good'));
  const broken = Buffer.from(archiveMember(file('bad')));
  broken[0] = 0x7f;
  await bad(
    Buffer.concat([good, broken]),
    /^a\.tar: tar header checksum at byte 1172: expected \d+, got \d+/,
  );
  await bad(
    Buffer.alloc(2048, 'x'),
    /tar header checksum at byte 148: expected \d+, got "xxxxxxxx"/,
  );
  await bad(
    archiveMember({ ...file('big'), size: 10_000 }),
    /tar member size at byte 124: expected at most 512 \(the file's end\), got 10000/,
  );
  await bad(archiveMember({ ...file('huge'), size: 2 ** 60 }), /expected a size below 2\^53/);
  await bad(
    archiveMember({ name: 'p', type: 'x', content: 'no record' }),
    /tar pax records at byte 512: expected LENGTH KEY=VALUE/,
  );
  await bad(archiveMember({ name: 'p', type: 'x', content: '0 a=b\n' }), /tar pax records/);
  await bad(
    archiveMember({ name: 'p', type: 'x', content: paxRecord('size', '-1') }),
    /tar pax size at byte 512: expected a size in bytes, got "-1"/,
  );
  await bad(
    archiveMember({ name: 'L', type: 'L', content: 'x'.repeat(65_537) }),
    /a pax header or long name at byte 0: 65537 bytes/,
    'LIMIT',
  );
  const names = Array.from({ length: 129 }, () =>
    archiveMember({ name: 'L', type: 'L', content: 'x'.repeat(65_536) }),
  );
  await bad(Buffer.concat(names), /pax headers and long names at byte \d+: \d+ bytes/, 'LIMIT');
  const empty = archiveMember({ name: 'e' });
  await bad(
    Buffer.concat(Array.from({ length: 32_769 }, () => empty)),
    /more than 32768 tar headers/,
    'LIMIT',
  );
});

await test('an archive may end without its blocks of zeros', async (t) => {
  t.match(await read(archiveMember(file('a'))), [{ name: 'a' }]);
  t.same(await read(Buffer.alloc(0)), []);
  t.same(await read(Buffer.alloc(100, 'x')), []);
});

await test('any change is read to its end or refused', async (t) => {
  const bytes = writeArchive([
    { name: 'pax', type: 'x', content: paxRecord('path', LONG) },
    file('a'),
    { name: 'L', type: 'L', content: LONG },
    file('b', 'y'.repeat(600)),
  ]);
  const change = fc.record({ at: fc.nat({ max: bytes.length - 1 }), value: fc.nat({ max: 255 }) });
  await holds(
    t,
    fc.asyncProperty(fc.array(change, { maxLength: 4 }), fc.boolean(), async (changes, seal) => {
      const copy = Buffer.from(bytes);
      for (const { at, value } of changes) {
        copy[at] = value;
        const begin = at - (at % 512);
        if (seal) sealArchiveHeader(copy.subarray(begin, begin + 512));
      }
      try {
        for (const { offset, size } of await read(copy)) {
          if (offset < 0 || size < 0 || offset + size > copy.length)
            throw new Error(`${offset}+${size}`);
        }
      } catch (error) {
        if (!(error instanceof OverlaybdError)) throw error;
      }
    }),
    { seed: SEED, numRuns: usualOrLong(250, 1000) },
  );
});
