// Drafts with all fields.
import { test } from 'tap';
import { fullDraft } from '../../../daemon/tree/full-draft.js';

await test('what a format does not have is absent', (t) => {
  const draft = fullDraft('a', 'dir', 7, { mode: 0o040755, uid: 1, gid: 2, mtime: -3 });
  t.same(draft, {
    path: 'a',
    type: 'dir',
    mode: 0o755,
    uid: 1,
    gid: 2,
    mtime: -3,
    mtimeNs: 0,
    size: 0,
    target: '',
    rdev: null,
    xattrs: null,
    data: [],
    position: 7,
  });
  t.end();
});

await test('what it has', (t) => {
  const xattrs = new Map([['user.x', Buffer.from('x')]]);
  const attributes = { mode: 0o1777, uid: 0, gid: 0, mtime: 5, mtimeNs: 6, xattrs };
  t.match(fullDraft('a', 'reg', 0, attributes), { mode: 0o1777, mtimeNs: 6, xattrs });
  t.end();
});
