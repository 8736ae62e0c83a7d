// A source whose last sector is filled up with zeros.
import { test } from 'tap';
import { FilledSource } from '../../../daemon/blob/filled-source.js';
import { readFully, type BlobSource } from '../../../daemon/blob/source.js';
import type { FileRange } from '../../../daemon/lib/disk.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

const BYTES = randomBytes(1, 1000);
const SIZE = 1024;
const FILLED = Buffer.concat([BYTES, Buffer.alloc(SIZE - BYTES.length)]);

/** Bytes that have to be fetched and loaded; it says which were asked for. */
class SlowSource extends MemorySource {
  readonly calls: string[] = [];

  #call(name: string, offset: number, length: number): void {
    if (offset + length > this.size) throw new Error(`${name} ${offset}+${length}: past the end`);
    this.calls.push(`${name} ${offset}+${length}`);
  }

  override ensure(offset: number, length: number): null {
    this.#call('ensure', offset, length);
    return null;
  }

  override load(offset = 0, length = 0): Promise<void> {
    this.#call('load', offset, length);
    return Promise.resolve();
  }

  override prefetch(offset = 0, length = 0): Promise<void> {
    this.#call('prefetch', offset, length);
    return Promise.resolve();
  }

  distrust(offset: number, length: number): boolean {
    this.#call('distrust', offset, length);
    return true;
  }

  locate(offset: number, length: number, into: FileRange): boolean {
    this.#call('locate', offset, length);
    into.position = offset;
    return true;
  }
}

await test('each range has the bytes, and zeros after them', async (t) => {
  const source = new FilledSource({ kind: 'filled', size: SIZE }, new MemorySource(BYTES));
  for (const [offset, length] of [
    [0, SIZE],
    [0, 1000],
    [999, 1],
    [999, 2],
    [1000, 24],
    [1023, 1],
    [512, 512],
  ] as const) {
    const got = await readFully(source, offset, length);
    t.ok(got.equals(FILLED.subarray(offset, offset + length)), `${offset}+${length}`);
  }
  t.throws(() => source.read(1000, 25, Buffer.alloc(25), 0), { code: 'SHORT_READ' });
});

await test('the source within is asked for its own bytes only', async (t) => {
  const within = new SlowSource(BYTES);
  const source: BlobSource = new FilledSource({ kind: 'filled', size: SIZE }, within);
  const into: FileRange = { fd: 0, position: 0 };
  for (const [offset, length] of [
    [512, 512],
    [1000, 24],
  ] as const) {
    await source.ensure(offset, length);
    await source.load(offset, length);
    await source.prefetch(offset, length);
    t.equal(source.distrust?.(offset, length), offset < 1000);
    t.equal(source.locate?.(offset, length, into), false, 'no file has the zeros');
  }
  t.equal(source.locate?.(512, 488, into), true);
  t.same(within.calls, [
    'ensure 512+488',
    'load 512+488',
    'prefetch 512+488',
    'distrust 512+488',
    'locate 512+488',
  ]);
});
