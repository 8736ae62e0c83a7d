// Chunks that other processes fetch.
import t from 'tap';
import { Elsewhere } from '../../../daemon/fetch/elsewhere.js';
import { FetchBlob, type WantedChunk } from '../../../daemon/fetch/fetch-blob.js';
import { FakeBlob, FakeClock } from '../../support/fetch-fakes.js';

function setup() {
  const clock = new FakeClock();
  const fake = new FakeBlob(64 << 20);
  const blob = new FetchBlob(fake.ref, fake);
  const arrived: number[] = [];
  const ours: number[] = [];
  const elsewhere = new Elsewhere(clock, {
    arrived: ({ chunk }) => void arrived.push(chunk),
    ours: ({ chunk }) => void ours.push(chunk),
  });
  const add = (chunk: number): WantedChunk => {
    const wanted: WantedChunk = {
      blob,
      chunk,
      fromOrigin: false,
      state: 'elsewhere',
      class: 'demand',
      host: null,
      isBegun: false,
      refusals: 0,
      waits: new Set(),
    };
    fake.foreign.add(chunk);
    elsewhere.add(wanted);
    return wanted;
  };
  return { clock, fake, arrived, ours, elsewhere, add };
}

await t.test('looks again until they have come or are free', async (test) => {
  const { clock, fake, arrived, ours, elsewhere, add } = setup();
  const chunks = [1, 2, 3].map((chunk) => add(chunk));
  await clock.pass(100);
  test.same([arrived, ours, elsewhere.size], [[], [], 3]);
  fake.claims.add(1);
  await clock.pass(10);
  test.same(arrived, [1]);
  fake.foreign.delete(2);
  await clock.pass(10);
  test.same(ours, [2]);
  test.same(
    chunks.map(({ isBegun }) => isBegun),
    [false, true, false],
  );
  const [, , third] = chunks;
  if (third) elsewhere.delete(third);
  await clock.pass(20);
  test.equal(elsewhere.size, 0);
  test.equal(clock.timers, 0);
});

await t.test('looks at a bounded number at a time, and at each in its turn', async (test) => {
  const { clock, fake, arrived, elsewhere, add } = setup();
  for (let chunk = 0; chunk < 1000; chunk++) add(chunk);
  let looks = 0;
  const present = fake.present.bind(fake);
  fake.present = (chunk) => {
    looks++;
    return present(chunk);
  };
  await clock.pass(10);
  test.equal(looks, 256);
  fake.claims.add(999);
  await clock.pass(30);
  test.same(arrived, [999]);
  test.equal(elsewhere.size, 999);
});
