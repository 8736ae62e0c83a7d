// Reads that wait for their bytes: evicted bytes are fetched or loaded again, up to a limit.
import t from 'tap';
import { MAX_WAITS, fetchOrLoad, readLoaded } from '../../../daemon/lib/loaded.js';

/** Bytes over a network and a disk. `evict` and `cool` say after which waits they are lost again. */
class Source {
  readonly name = 'blob';
  readonly calls: string[] = [];
  isFetched = false;
  isLoaded = false;

  ensure(): Promise<void> | null {
    if (this.isFetched) return null;
    this.calls.push('fetch');
    this.isFetched = true;
    return Promise.resolve();
  }

  async load(): Promise<void> {
    this.calls.push('load');
    this.isLoaded = true;
  }
}

await t.test('bytes at hand, bytes to be fetched, bytes to be loaded', async (test) => {
  const source = new Source();
  source.isFetched = true;
  await readLoaded(source, 0, 10, () => true);
  test.same(source.calls, [], 'there is no wait');
  source.isFetched = false;
  await readLoaded(source, 0, 10, () => source.isFetched);
  test.same(source.calls, ['fetch']);
  await readLoaded(source, 0, 10, () => source.isLoaded);
  test.same(source.calls, ['fetch', 'load']);
});

await t.test('bytes that are evicted after the fetch, and after the load', async (test) => {
  const source = new Source();
  let reads = 0;
  await readLoaded(source, 0, 10, () => {
    reads++;
    if (reads === 1 || reads === 3) source.isFetched = false;
    return reads === 5;
  });
  test.same(source.calls, ['fetch', 'fetch', 'load', 'fetch', 'load']);
});

await t.test('bytes that are lost every time: an error after several waits', async (test) => {
  for (const lose of ['isFetched', 'isLoaded'] as const) {
    const source = new Source();
    let reads = 0;
    const always = (): boolean => {
      reads++;
      source[lose] = false;
      return false;
    };
    await test.rejects(readLoaded(source, 7, 10, always), {
      code: 'IO',
      message: /^blob: read of 10 bytes at 7: .* 8 times; .*memory.*cache/,
    });
    test.equal(reads, MAX_WAITS + 1);
    test.equal(source.calls.length, MAX_WAITS + 1);
  }
});

await t.test('errors of ensure() and load() are thrown', async (test) => {
  const down = {
    ensure: () => Promise.reject(new Error('no network')),
    load: () => Promise.resolve(),
  };
  await test.rejects(
    readLoaded(down, 0, 1, () => true),
    { message: 'no network' },
  );
  const sick = { ensure: () => null, load: () => Promise.reject(new Error('no disk')) };
  await test.rejects(
    readLoaded(sick, 0, 1, () => false),
    { message: 'no disk' },
  );
  await test.rejects(fetchOrLoad(sick, 0, 1), { message: 'no disk' });
});
