// Shared memory as a blob source.
import { test } from 'tap';
import { MemorySource } from '../../../daemon/blob/memory-source.js';

function sourceOf(text: string): MemorySource {
  const memory = new SharedArrayBuffer(text.length);
  Buffer.from(memory).write(text, 'latin1');
  return new MemorySource({ kind: 'memory', name: 'metadata', memory });
}

await test('bytes are read into the middle of memory', (t) => {
  const source = sourceOf('abcdef');
  const bytes = Buffer.from('......');
  t.equal(source.size, 6);
  t.equal(source.ensure(0, 6), null);
  t.equal(source.read(2, 3, bytes, 1), true);
  t.equal(bytes.toString(), '.cde..');
  t.end();
});

await test('nothing beyond its end is read', async (t) => {
  const source = sourceOf('abcdef');
  const short = { code: 'SHORT_READ', message: /^metadata: / };
  t.throws(() => source.read(4, 3, Buffer.alloc(8), 0), short);
  t.throws(() => source.ensure(6, 1), short);
  await t.rejects(source.load(0, 7), short);
  await source.load(0, 6);
  await source.prefetch();
});
