// Lists of folders that share many names: what waits to be shown has a bound.
import { test } from 'tap';
import type { FileStat, ImageFile } from '../../../daemon/files/image-file.js';
import { listings, type EachFile } from '../../../daemon/files/listing.js';
import { filesBelow } from '../../../daemon/files/tree-text.js';
import { WaitingFiles } from '../../../daemon/files/waiting-files.js';

const MANY = 1000;
/** For 5 folders with their files. */
const MOST = 5 * MANY * 600;

/** A folder with many folders, the first of which has as many, and so on. */
class Deep implements ImageFile {
  static left = 0;
  readonly inode: number;
  readonly #level: number;

  constructor(level: number, inode = level) {
    this.#level = level;
    this.inode = inode;
  }

  stat(): Promise<FileStat> {
    return Promise.resolve({ type: 'dir', target: '' } as FileStat);
  }

  names(): Promise<string[]> {
    if (this.inode !== this.#level) return Promise.resolve([]);
    return Promise.resolve(Array.from({ length: MANY }, (_, i) => `${i}`.padStart(20, '0')));
  }

  child(name: string): Promise<ImageFile> {
    const i = Number(name);
    return Promise.resolve(new Deep(this.#level + 1, i === 0 ? this.#level + 1 : -i - 1));
  }

  leave(): void {
    Deep.left++;
  }

  xattrs(): Promise<never> {
    throw new Error('not asked for');
  }

  contents(): never {
    throw new Error('not asked for');
  }
}

class Codes implements EachFile {
  readonly codes: string[] = [];

  async tried<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      this.codes.push((error as { code: string }).code);
      return null;
    }
  }
}

await test('folders inside each other', async (t) => {
  const options = { all: true, recursive: true, itself: false, long: false };
  const each = new Codes();
  let lists = 0;
  Deep.left = 0;
  for await (const _ of listings(new Deep(0), [''], options, each, new WaitingFiles(MOST))) lists++;
  t.same(each.codes, ['LIMIT']);
  t.ok(lists > 4 * MANY && lists <= 6 * MANY, `${lists} lists`);
  t.equal(Deep.left, lists + 1, 'each is left');
  let files = 0;
  const drawn = { all: true, depth: Infinity };
  const found = { file: new Deep(0), path: '' };
  for await (const _ of filesBelow(found, drawn, each, new WaitingFiles(MOST))) files++;
  t.same(each.codes, ['LIMIT', 'LIMIT']);
  t.ok(files > 4 * MANY && files <= 6 * MANY, `${files} files`);
});

await test('what was shown does not wait', async (t) => {
  const waiting = new WaitingFiles(MANY * 600);
  const options = { all: true, recursive: false, itself: false, long: false };
  const each = new Codes();
  for (let i = 0; i < 5; i++) {
    for await (const { files } of listings(new Deep(0), [''], options, each, waiting))
      t.equal(files.length, MANY);
    const found = { file: new Deep(0), path: '' };
    for await (const _ of filesBelow(found, { all: true, depth: 1 }, each, waiting)) continue;
  }
  t.same(each.codes, []);
});
