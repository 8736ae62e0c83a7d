// How many transfers may be for the future: halved when reads feel them, and back one by one.
import t from 'tap';
import { BackgroundWindow } from '../../../daemon/fetch/background-window.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { FetchBlob } from '../../../daemon/fetch/fetch-blob.js';
import { FakeBlob, remoteError, scheduled } from '../../support/fetch-fakes.js';

/** Time that a test moves, and transfers of given lengths. */
function windowAt() {
  const window = new BackgroundWindow();
  let now = 0;
  const demand = (took: number, background = 8, chunks = 1, host = 'registry'): number => {
    now += took;
    window.demandEnded({ host, chunks, begin: now - took, end: now, background });
    return window.size;
  };
  const background = (hasFailed = false, isFull = true): number => {
    now += 1;
    window.backgroundEnded(hasFailed, isFull, now - 1, now);
    return window.size;
  };
  return { window, demand, background };
}

await t.test('slow reads halve it, down to 1; what ends brings it back, up to 8', (test) => {
  const { window, demand, background } = windowAt();
  test.equal(window.size, 8);
  for (let i = 0; i < 20; i++) test.equal(demand(20), 8, 'as usual');
  test.same([demand(100), demand(100), demand(100), demand(100)], [4, 2, 1, 1]);
  const sizes = Array.from({ length: 60 }, () => background());
  test.same(sizes.slice(0, 3), [2, 2, 2]);
  test.ok(sizes.every((size, i) => size >= (sizes[i - 1] ?? 0)));
  const at8 = sizes.indexOf(8);
  test.ok(at8 > 20 && at8 < 40, `${at8} transfers to the top`);
  test.equal(sizes.at(-1), 8);
  test.end();
});

await t.test('once for all that ran at the same time', (test) => {
  const window = new BackgroundWindow();
  const demand = (begin: number, end: number): void => {
    window.demandEnded({ host: 'registry', chunks: 1, begin, end, background: 8 });
  };
  demand(0, 20);
  for (let i = 0; i < 5; i++) demand(100, 300 + i);
  test.equal(window.size, 4);
  window.backgroundEnded(true, true, 100, 310);
  test.equal(window.size, 4);
  demand(300, 500);
  test.equal(window.size, 2, 'and again for what began after that');
  test.end();
});

await t.test('a registry that is slow by itself, and long reads, do not shrink it', (test) => {
  const { demand } = windowAt();
  test.equal(demand(20), 8);
  test.equal(demand(500, 0), 8, 'nothing else was fetched');
  test.equal(demand(5000, 8, 16), 8, 'a long one');
  const { demand: steady } = windowAt();
  for (let i = 0; i < 50; i++) test.equal(steady(700), 8);
  test.equal(steady(1200), 8, 'not twice as long');
  test.end();
});

await t.test('a registry that became slower is the usual after a while', (test) => {
  const { window, demand, background } = windowAt();
  demand(20);
  for (let i = 0; i < 100; i++) demand(200);
  const low = window.size;
  for (let i = 0; i < 60; i++) {
    background();
    demand(200);
  }
  test.same([low, window.size], [1, 8]);
  test.end();
});

await t.test('each host has its own usual: the registry is farther than the mirror', (test) => {
  const { demand } = windowAt();
  for (let i = 0; i < 5; i++) test.equal(demand(2, 8, 1, 'mirror'), 8);
  for (let i = 0; i < 5; i++) test.equal(demand(80, 8, 1, 'registry'), 8, 'as far as it is');
  test.equal(demand(80, 8, 1, 'mirror'), 4, 'slow for the mirror');
  test.equal(demand(80, 8, 1, 'registry'), 4);
  for (let i = 0; i < 16; i++) demand(1, 8, 1, `other ${i}`);
  test.equal(demand(500, 8, 1, 'registry'), 4, 'forgotten: hosts are bounded');
  test.equal(demand(5, 8, 1, 'other 15'), 4);
  test.equal(demand(500, 8, 1, 'other 15'), 2);
  test.end();
});

await t.test('failures halve it, and an idle window does not grow', (test) => {
  const { background } = windowAt();
  test.same([background(true), background(true)], [4, 2]);
  test.same([background(false, false), background(false, false), background(false)], [2, 2, 2]);
  test.equal(background(false), 2);
  test.equal(background(false), 3);
  test.end();
});

await t.test(
  'in the scheduler: fewer requests for the future run after slow reads',
  async (test) => {
    const fake = new FakeBlob(256 << 20);
    const { clock, client, opened, want } = scheduled(fake);
    const [blob] = opened;
    const read = async (chunk: number, took: number): Promise<void> => {
      const result = want(blob, chunk);
      await clock.settle();
      await clock.pass(took);
      client.open.find(({ request }) => request.class === 'demand')?.answer();
      await clock.settle();
      test.same(result, [null]);
    };
    for (let i = 0; i < 3; i++) await read(4000 - 2 * i, 20);
    want(blob, 0, 3000, 'fill', Infinity);
    await clock.settle();
    test.equal(client.open.length, 8);
    await read(3900, 20);
    test.equal(client.open.length, 8, 'they do no harm');
    await read(3800, 150);
    for (let i = 0; i < 4; i++) client.open[0]?.answer();
    await clock.settle();
    test.equal(client.open.length, 4, 'none of the four that ended has a successor');
    await read(3700, 150);
    client.open[0]?.answer();
    await clock.settle();
    test.equal(client.open.length, 3, 'nor has the next one');
    for (let i = 0; i < 40; i++) {
      client.open[0]?.answer();
      await clock.settle();
    }
    test.equal(client.open.length, 8, 'and back');
  },
);

await t.test(
  'in the scheduler: only failures of the network shrink it, and reads of one host count',
  async (test) => {
    const [kept, closed] = [new FakeBlob(64 << 20), new FakeBlob(64 << 20)];
    const { clock, client, scheduler, opened, want } = scheduled(kept, closed);
    const windows = (): number[] => [...scheduler.hosts].map(({ window }) => window);
    const running = () => client.open.filter(({ signal }) => !signal.aborted);
    for (const blob of opened) {
      // A failure ends the want, so there are many.
      for (let chunk = 0; chunk < 512; chunk += 16) {
        want(blob, chunk, chunk + 15, 'fill', Infinity);
      }
    }
    await clock.settle();
    test.equal(client.open.length, 8);
    const removed = scheduler.remove(opened[1] as FetchBlob);
    await clock.settle();
    await removed;
    test.same(windows(), [8], 'a blob that was closed');
    for (const code of ['AUTH', 'NOT_FOUND', 'IO'] as const) {
      running()[0]?.fail(new OverlaybdError(code, 'x'));
      await clock.settle();
      test.same(windows(), [8], code);
    }
    const read = async (chunk: number, took: number, from?: string): Promise<void> => {
      want(opened[0], chunk);
      await clock.settle();
      await clock.pass(took);
      const sent = client.open.find(({ request }) => request.class === 'demand');
      sent?.send();
      sent?.end(from);
      await clock.settle();
    };
    await read(900, 20, 'mirror');
    await read(800, 150, 'registry.example');
    test.same(windows(), [8]);
    await read(700, 150, 'mirror');
    test.same(windows(), [4]);
    running().at(-1)?.fail(remoteError());
    await clock.settle();
    test.same(windows(), [4], 'it began before the decrease');
    await clock.pass(1);
    for (let i = 0; i < 6; i++) running()[0]?.answer();
    await clock.settle();
    await clock.pass(1);
    running().at(-1)?.fail(remoteError());
    await clock.settle();
    test.same(windows(), [2]);
  },
);
