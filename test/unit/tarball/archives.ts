// Archives that tests make, read as trees.
import type { Test } from 'tap';
import { readArchive } from '../../../daemon/tarball/read-archive.js';
import type { LayerTree, TreeEntry } from '../../../daemon/tree/layer-tree.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { paxRecord, writeArchive, type ArchiveMember } from '../../support/archive-writer.js';
import { MemorySource } from '../../support/memory-source.js';

export const read = (bytes: Buffer): Promise<LayerTree> =>
  readArchive(new MemorySource(bytes, 'layer'), UNBOUNDED);

export async function entriesOf(...members: ArchiveMember[]): Promise<TreeEntry[]> {
  const tree = await read(writeArchive(members));
  return Array.from({ length: tree.count }, (_, i) => tree.entry(i));
}

export const pax = (...records: [string, string][]): ArchiveMember => ({
  name: 'pax',
  type: 'x',
  content: records.map(([key, value]) => paxRecord(key, value)).join(''),
});

export async function refused(
  t: Test,
  bytes: Buffer,
  code: string,
  message: RegExp,
): Promise<void> {
  await t.rejects(read(bytes), { code, message });
}
