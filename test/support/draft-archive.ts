// Writes entries of trees as an archive, as tar does with extended headers: the contents of files are made up.
import type { EntryDraft } from '../../daemon/tree/builder.js';
import { archiveMember, sealArchiveHeader } from './archive-writer.js';
import { randomBytes } from './pattern.js';

const FLAGS: Record<string, string> = {
  reg: '0',
  hardlink: '1',
  symlink: '2',
  char: '3',
  block: '4',
  dir: '5',
  fifo: '6',
};

export interface DraftArchive {
  bytes: Buffer;
  /** What each file has, by its number among the entries. */
  contents: Map<number, Buffer>;
}

/** @param form of sparse files: 0 to 3 */
export function writeDrafts(drafts: readonly EntryDraft[], form: number): DraftArchive {
  const contents = new Map<number, Buffer>();
  const parts = drafts.map((draft, i) => {
    const content = contentOf(draft, i);
    if (content) contents.set(i, content);
    return memberOf(draft, content, form);
  });
  return { bytes: Buffer.concat([...parts, Buffer.alloc(1024)]), contents };
}

/** With its holes. */
function contentOf({ type, size = 0, data = [] }: EntryDraft, seed: number): Buffer | null {
  if (type !== 'reg') return null;
  const content = Buffer.alloc(size);
  for (const { fileOffset, length } of data) {
    content.set(randomBytes(seed * 1000 + fileOffset, length), fileOffset);
  }
  return content;
}

function memberOf(draft: EntryDraft, content: Buffer | null, form: number): Buffer {
  const { type, path, target, size = 0, data = [], mode = 0, rdev } = draft;
  const records: [string, string][] = [
    ['path', path],
    ['uid', `${draft.uid ?? 0}`],
    ['gid', `${draft.gid ?? 0}`],
    ['mtime', timeOf(draft)],
  ];
  if (target !== undefined) records.push(['linkpath', target]);
  for (const [name, value] of draft.xattrs ?? []) {
    records.push([`SCHILY.xattr.${name}`, Buffer.from(value).toString('latin1')]);
  }
  const map = data.filter(({ length }) => length > 0);
  const stored = Buffer.concat(
    map.map(({ fileOffset, length }) =>
      (content as Buffer).subarray(fileOffset, fileOffset + length),
    ),
  );
  const isSparse = stored.length < size;
  const pairs = map.map(({ fileOffset, length }) => [fileOffset, length] as const);
  const front = isSparse && form === 1 ? mapText(pairs) : Buffer.alloc(0);
  if (isSparse) records.push(...sparseRecords(pairs, path, size, form));
  const bytes = archiveMember({
    name: 'placeholder',
    type: isSparse && form === 3 ? 'S' : (FLAGS[type] as string),
    ...(content && { content: Buffer.concat([front, stored]) }),
  });
  const octal = (value: number, at: number, digits: number): unknown =>
    bytes.write(value.toString(8).padStart(digits, '0'), at, 'latin1');
  octal(mode, 100, 7);
  octal(rdev?.major ?? 0, 329, 7);
  octal(rdev?.minor ?? 0, 337, 7);
  if (isSparse && form === 3) {
    bytes.fill(0, 345, 512);
    for (const [i, [offset, length]] of pairs.entries()) {
      octal(offset, 386 + 24 * i, 11);
      octal(length, 398 + 24 * i, 11);
    }
    octal(size, 483, 11);
  }
  sealArchiveHeader(bytes);
  return Buffer.concat([extensionOf(records), bytes]);
}

function timeOf({ mtime = 0, mtimeNs = 0 }: EntryDraft): string {
  const isBefore = mtime < 0 && mtimeNs > 0;
  const seconds = isBefore ? -mtime - 1 : Math.abs(mtime);
  const fraction = isBefore ? 1e9 - mtimeNs : mtimeNs;
  return `${mtime < 0 ? '-' : ''}${seconds}.${String(fraction).padStart(9, '0')}`;
}

type Pairs = readonly (readonly [offset: number, length: number])[];

function mapText(pairs: Pairs): Buffer {
  const text = Buffer.from(`${[pairs.length, ...pairs.flat()].join('\n')}\n`);
  return Buffer.concat([text, Buffer.alloc(-text.length & 511)]);
}

function sparseRecords(pairs: Pairs, path: string, size: number, form: number): [string, string][] {
  switch (form) {
    case 0:
      return [
        ['GNU.sparse.size', `${size}`],
        ['GNU.sparse.name', path],
        ['GNU.sparse.map', pairs.flat().join(',')],
      ];
    case 1:
      return [
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', `${size}`],
      ];
    case 2:
      return [
        ['GNU.sparse.size', `${size}`],
        ['GNU.sparse.numblocks', `${pairs.length}`],
        ...pairs.flatMap(([offset, length]): [string, string][] => [
          ['GNU.sparse.offset', `${offset}`],
          ['GNU.sparse.numbytes', `${length}`],
        ]),
      ];
    default:
      return [];
  }
}

function extensionOf(records: readonly [string, string][]): Buffer {
  const body = records.map(([key, value]) => {
    const rest = ` ${key}=${value}\n`;
    let length = rest.length + 1;
    while (String(length).length + rest.length !== length) length++;
    return `${length}${rest}`;
  });
  return archiveMember({ name: 'pax', type: 'x', content: Buffer.from(body.join(''), 'latin1') });
}
