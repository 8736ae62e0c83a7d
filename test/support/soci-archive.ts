// An archive with every kind of entry that a ztoc has.
import { archiveMember, paxRecord, writeArchive } from './archive-writer.js';
import { randomBytes, textBytes } from './pattern.js';

const members = [
  { name: './', type: '5' },
  { name: 'pax', type: 'x', content: paxRecord('mtime', '-1.5') + paxRecord('path', 'd/words') },
  { name: 'words', content: textBytes(1, 60_000) },
  { name: 'd/noise', content: randomBytes(2, 30_000) },
  { name: 'empty' },
  { name: 'pax', type: 'x', content: paxRecord('SCHILY.xattr.user.a', 'value\n') },
  { name: 'one', content: 'x' },
  { name: 'hard', type: '1', content: 'd/words' },
  { name: 'soft', type: '2', content: 'd/noise' },
  { name: 'null', type: '3' },
  { name: 'disk', type: '4' },
  { name: 'pipe', type: '6' },
  { name: 'd/.wh.gone' },
  { name: 'd/.wh..wh..opq' },
  { name: 'long', content: textBytes(3, 100_000) },
];

export const SOCI_ARCHIVE: Buffer = Buffer.concat([
  ...members.map((member) => archiveMember(member)),
  writeArchive([]),
]);
