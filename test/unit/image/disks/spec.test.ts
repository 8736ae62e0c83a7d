// Specs of sources: any kind in any other, and the file at the bottom.
import { test } from 'tap';
import { fileOf, filesOf, sliceOf, type SourceSpec } from '../../../../daemon/image/disks/spec.js';
import { JumpTableBuilder } from '../../../../daemon/zfile/jump-table.js';

const file: SourceSpec = { kind: 'file', name: 'blob', fd: 7, base: 100, size: 1000 };

function zfileOf(of: SourceSpec): SourceSpec {
  const table = new JumpTableBuilder({
    blob: 'blob',
    count: 0,
    blockSize: 4096,
    verify: true,
    dictSize: 0,
    indexOffset: 1000,
  }).finish();
  const zfile = { algorithm: 'lz4', blockSize: 4096, originalSize: 0, verify: true } as const;
  return { kind: 'zfile', of, zfile: { ...zfile, name: 'blob (zfile)', table: table.data } };
}

await test('a part of a file is a file; a part of anything else is a slice', (t) => {
  const part = sliceOf(file, 10, 50, 'part');
  t.same(part, { kind: 'file', name: 'part', fd: 7, base: 110, size: 50 });
  t.same(sliceOf(part, 5, 20, 'inner'), { ...file, name: 'inner', base: 115, size: 20 });
  const zfile = zfileOf(file);
  t.same(sliceOf(zfile, 1, 2, 'in it'), {
    kind: 'slice',
    name: 'in it',
    offset: 1,
    size: 2,
    of: zfile,
  });
  t.end();
});

await test('the file at the bottom is found at any depth', (t) => {
  const deep = zfileOf(sliceOf(zfileOf(sliceOf(file, 1, 2, 'member')), 3, 4, 'slice'));
  t.match(fileOf(deep), { kind: 'file', name: 'member', fd: 7, base: 101 });
  t.equal(fileOf(file), file);
  t.same(
    filesOf({
      kind: 'partition',
      offset: 0,
      size: 0,
      disk: { kind: 'raw', source: zfileOf(file) },
    }),
    [file],
  );
  t.end();
});

await test('shared memory has no file', (t) => {
  t.equal(fileOf({ kind: 'memory', name: 'metadata', memory: new SharedArrayBuffer(1) }), null);
  t.end();
});
