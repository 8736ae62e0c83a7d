import { test } from 'tap';
import {
  listingLines,
  listings,
  type ListForm,
  type ListOptions,
} from '../../../daemon/files/listing.js';
import { escapedName } from '../../../daemon/files/texts.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { NotedFailures } from '../../support/each-file.js';
import { brokenFolder } from '../../support/broken-folder.js';
import { rootOf } from '../../support/tree-root.js';

const NONE: ListOptions = { all: false, recursive: false, itself: false, long: false };

await test('lists as ls has them', async (t) => {
  const root = await rootOf(t, [
    { name: 'b/.hidden' },
    { name: 'b/x', bytes: Buffer.alloc(1234), uid: 1000, mtime: 60 },
    { name: 'b/c/deep', type: '6' },
    { name: 'link', type: '2', link: 'b\u001b' },
    { name: 'to', type: '2', link: 'b' },
    { name: 'null', type: '3', device: [1, 3], mode: 0o666 },
  ]);
  const lines = async (
    paths: string[],
    options: Partial<ListOptions> = {},
    form: Partial<ListForm> = {},
  ): Promise<string[]> => {
    const all: string[] = [];
    for await (const list of listings(root, paths, { ...NONE, ...options }, new NotedFailures())) {
      const full = { long: options.long === true, withHeading: false, show: escapedName, ...form };
      for await (const line of listingLines(list, full)) all.push(line);
    }
    return all;
  };
  t.same(await lines(['']), ['b', 'link', 'null', 'to']);
  t.same(await lines(['b']), ['c', 'x']);
  t.same(await lines(['b'], { all: true }), ['.hidden', 'c', 'x']);
  t.same(await lines(['to']), ['c', 'x']);
  t.same(await lines(['to'], { itself: true }), ['to']);
  t.same(await lines(['to'], { long: true }), ['lrwxrwxrwx 1 0 0 1 1970-01-01 00:00 to -> b']);
  t.same(await lines(['b', 'b/x'], {}, { withHeading: true }), ['b/x', 'b:', 'c', 'x']);
  t.same(await lines(['/b/'], { recursive: true }, { withHeading: true }), [
    '/b/:',
    'c',
    'x',
    '/b/c:',
    'deep',
  ]);
  t.same(await lines(['/'], { recursive: true }, { withHeading: true }), [
    '/:',
    'b',
    'link',
    'null',
    'to',
    '/b:',
    'c',
    'x',
    '/b/c:',
    'deep',
  ]);
  t.same(await lines([''], { long: true }), [
    'drwxr-xr-x 3 0 0    0 1970-01-01 00:00 b',
    String.raw`lrwxrwxrwx 1 0 0    2 1970-01-01 00:00 link -> b\u{1b}`,
    'crw-rw-rw- 1 0 0 1, 3 1970-01-01 00:00 null',
    'lrwxrwxrwx 1 0 0    1 1970-01-01 00:00 to -> b',
  ]);
  await t.rejects(lines(['none']), { code: 'NOT_FOUND' });
});

await test('a file that cannot be looked at, and a folder inside itself: the others are listed', async (t) => {
  const root = await rootOf(t, [{ name: 'x', bytes: Buffer.from('x') }]);
  const broken = brokenFolder(root);
  const each = new NotedFailures();
  const lists: [string | null, string[]][] = [];
  const options = { ...NONE, recursive: true };
  for await (const { folder, files } of listings(broken, ['/'], options, each)) {
    lists.push([folder, files.map(({ name }) => name)]);
  }
  t.same(lists, [['/', ['self', 'x']]]);
  t.same(each.messages, ['bad inode', '"self": a directory that is inside itself']);
  const unreadable = {
    ...broken,
    names: () => Promise.reject(new OverlaybdError('IO', 'no list')),
  };
  const none = new NotedFailures();
  for await (const list of listings(unreadable, ['/'], NONE, none)) t.fail(`${list.folder}`);
  t.same(none.messages, ['no list']);
});
