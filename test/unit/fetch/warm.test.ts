// Whole blobs are fetched a few at a time, and progress is not reported for each run.
import { test } from 'tap';
import type { RegistryRef } from '../../../daemon/blob/blob-ref.js';
import type { WarmProgress } from '../../../daemon/fetch/messages.js';
import { Warming } from '../../../daemon/fetch/warm.js';

const refs = Array.from({ length: 9 }, (_, i): RegistryRef => {
  return { kind: 'registry', host: 'h', repository: 'r', digest: `sha256:${i}`, size: 10 + i };
});
const total = 126;

await test('4 blobs at the same time', async (t) => {
  const waiting: (() => void)[] = [];
  const begun: string[] = [];
  const running = new Warming(
    refs,
    () => undefined,
    () => 0,
  ).run((ref) => {
    begun.push(ref.digest);
    return new Promise((resolve) => waiting.push(resolve));
  });
  for (let done = 0; done < refs.length; done++) {
    while (waiting.length === 0) await Promise.resolve();
    t.equal(begun.length, Math.min(4 + done, refs.length));
    waiting.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  t.same(await running, { bytes: 0, total, cached: 0 });
});

const of = (bytes: number, cached: number): WarmProgress => ({ bytes, total: 10, cached });

await test('progress, at most each 200 ms', async (t) => {
  const told: WarmProgress[] = [];
  let now = 1000;
  const warming = new Warming(
    refs.slice(0, 1),
    (progress) => told.push(progress),
    () => now,
  );
  const result = await warming.run(async (_ref, fetched) => {
    fetched(1, true);
    now += 199;
    fetched(2, false);
    now += 1;
    fetched(3, false);
    fetched(4, true);
  });
  t.same(told, [of(1, 1), of(6, 1)]);
  t.same([result, warming.progress], [of(10, 5), of(10, 5)]);
});

await test('a blob that fails ends it', async (t) => {
  const warming = new Warming(
    refs,
    () => undefined,
    () => 0,
  );
  await t.rejects(
    warming.run(() => Promise.reject(new Error('no'))),
    { message: 'no' },
  );
});
