// Reading whole ranges for the control plane, including all waiting, and never past the end.
import t from 'tap';
import { readFully, readInto } from '../../../daemon/blob/source.js';
import { MAX_WAITS } from '../../../daemon/lib/loaded.js';
import { MemorySource } from '../../support/memory-source.js';
import { randomBytes } from '../../support/pattern.js';

const bytes = randomBytes(3, 1000);

await t.test('ranges are read completely; ranges past the end are refused', async (test) => {
  const source = new MemorySource(bytes, 'blob');
  test.ok((await readFully(source, 10, 500)).equals(bytes.subarray(10, 510)));
  test.equal((await readFully(source, 1000, 0)).length, 0);
  const dst = Buffer.alloc(4);
  await readInto(source, 996, dst);
  test.ok(dst.equals(bytes.subarray(996)));
  for (const [offset, length] of [
    [996, 5],
    [-1, 1],
    [1001, 0],
  ] as const) {
    await test.rejects(readFully(source, offset, length), {
      code: 'SHORT_READ',
      message: /^blob: /,
      facts: { blob: 'blob', offset },
    });
  }
});

await t.test('bytes that a cache evicts are fetched again, up to a limit', async (test) => {
  class Evicting extends MemorySource {
    fetches = 0;
    times = 2;

    override ensure(): null {
      return null;
    }

    override async load(): Promise<void> {
      this.fetches++;
    }

    override read(offset: number, length: number, dst: Uint8Array, at: number): boolean {
      return this.fetches >= this.times && super.read(offset, length, dst, at);
    }
  }
  const source = new Evicting(bytes, 'blob');
  test.ok((await readFully(source, 0, 1000)).equals(bytes));
  test.equal(source.fetches, 2);
  source.times = Infinity;
  await test.rejects(readFully(source, 0, 1000), {
    code: 'IO',
    message: /8 times/,
    facts: { blob: 'blob', offset: 0 },
  });
  test.equal(source.fetches, 2 + MAX_WAITS);
});

await t.test('a long range is fetched at once and read in steps', async (test) => {
  class Remote extends MemorySource {
    readonly fetches: number[] = [];
    override ensure(_offset: number, length: number): null {
      this.fetches.push(length);
      return null;
    }
  }
  const long = randomBytes(4, 2_500_000);
  const source = new Remote(long, 'blob');
  test.ok((await readFully(source, 1, long.length - 1)).equals(long.subarray(1)));
  test.equal(source.fetches[0], long.length - 1);
  test.same(
    source.reads.map(([, length]) => length),
    [1 << 20, 1 << 20, long.length - 1 - (2 << 20)],
  );
});
