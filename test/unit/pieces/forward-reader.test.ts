// Reading forwards: no byte twice, and what is in memory first.
import { test } from 'tap';
import { ForwardReader } from '../../../daemon/pieces/forward-reader.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

await test('each byte is read once', async (t) => {
  const bytes = randomBytes(1, 3 << 20);
  const source = new MemorySource(bytes);
  const reader = new ForwardReader(source);
  t.ok((await reader.bytesAt(0, 18)).equals(bytes.subarray(0, 18)));
  t.equal((await reader.restAt(10)).length, (1 << 20) - 10);
  t.equal(reader.inMemory(10).length, (1 << 20) - 10);
  t.equal(reader.inMemory(1 << 20).length, 0, 'it does not read');
  const long = await reader.bytesAt(100, 2 << 20);
  t.ok(long.equals(bytes.subarray(100, 100 + (2 << 20))));
  t.ok((await reader.restAt(2_500_000)).equals(bytes.subarray(2_500_000)));
  t.equal((await reader.restAt(bytes.length)).length, 0);
  const read = source.reads.reduce((sum, each) => sum + each[1], 0);
  // What lies between the last two was skipped.
  t.equal(read, bytes.length - (2_500_000 - 100 - (2 << 20)));
});
