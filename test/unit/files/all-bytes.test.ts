import { test } from 'tap';
import { allBytes } from '../../../daemon/files/all-bytes.js';
import type { ContentPiece, FileStat, ImageFile } from '../../../daemon/files/image-file.js';

function fileOf(stat: Partial<FileStat>, pieces: ContentPiece[]): ImageFile {
  const file = {
    stat: () => Promise.resolve(stat),
    async *contents(): AsyncGenerator<ContentPiece> {
      for (const piece of pieces) yield await Promise.resolve(piece);
    },
  };
  return file as unknown as ImageFile;
}

await test('holes are zeros: before, between and after the data', async (t) => {
  const file = fileOf({ type: 'reg', size: 200_000 }, [
    { offset: 512, bytes: Buffer.alloc(10, 1) },
    { offset: 150_000, bytes: Buffer.alloc(10, 2) },
  ]);
  const parts: Buffer[] = [];
  for await (const part of allBytes('x', file)) parts.push(Buffer.from(part));
  const wanted = Buffer.alloc(200_000);
  wanted.fill(1, 512, 522).fill(2, 150_000, 150_010);
  t.ok(Buffer.concat(parts).equals(wanted));
  t.ok(parts.every(({ length }) => length <= 65_536));
});

await test('only regular files have bytes', async (t) => {
  const all = async (): Promise<void> => {
    for await (const _ of allBytes('a\u001b', fileOf({ type: 'dir' }, []))) t.fail();
  };
  const message = String.raw`"a\u{1b}": not a regular file: a directory`;
  await t.rejects(all(), { code: 'UNSUPPORTED', message });
});
