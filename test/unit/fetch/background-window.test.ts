// How many transfers may be for the future: halved when reads feel them, and back one by one.
import t from 'tap';
import { BackgroundWindow } from '../../../daemon/fetch/background-window.js';
import { FakeBlob, scheduled } from '../../support/fetch-fakes.js';

/** Time that a test moves, and transfers of given lengths. */
function windowAt() {
  const window = new BackgroundWindow();
  let now = 0;
  const demand = (took: number, background = 8, chunks = 1): number => {
    now += took;
    window.demandEnded(chunks, now - took, now, background);
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
  window.demandEnded(1, 0, 20, 8);
  for (let i = 0; i < 5; i++) window.demandEnded(1, 100, 300 + i, 8);
  test.equal(window.size, 4);
  window.backgroundEnded(true, true, 100, 310);
  test.equal(window.size, 4);
  window.demandEnded(1, 300, 500, 8);
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
