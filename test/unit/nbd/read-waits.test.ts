// The waits of reads: seen while they last, and counted when they are over.
import t from 'tap';
import { ReadWaits } from '../../../daemon/nbd/read-waits.js';

const read = () => ({ since: 0, isRemote: false });

await t.test('from the first wait to the answer', (test) => {
  let now = 1000;
  const waits = new ReadWaits(() => now);
  const [disk, network, both] = [read(), read(), read()];
  waits.begin(disk, false);
  now += 100;
  waits.begin(network, true);
  waits.begin(both, false);
  test.same([waits.waiting, waits.parked, waits.oldestMs], [3, 1, 100]);
  now += 100;
  waits.begin(both, true);
  test.same([waits.waiting, waits.parked, waits.oldestMs], [3, 2, 200]);
  waits.end(disk);
  test.same(
    [waits.waiting, waits.parked, waits.oldestMs],
    [2, 2, 100],
    'the next one is the oldest',
  );
  now += 400;
  waits.end(network);
  waits.end(both);
  waits.end(both);
  test.same([waits.waiting, waits.parked, waits.oldestMs], [0, 0, 0]);
  test.same([waits.local.count, waits.local.sum], [1, 0.2]);
  test.same([waits.remote.count, waits.remote.sum], [2, 1]);
  test.end();
});

await t.test(
  'a read that did not wait, and one whose connection has ended, do not count',
  (test) => {
    const waits = new ReadWaits(() => 5);
    waits.end(read());
    const gone = read();
    waits.begin(gone, true);
    waits.drop(gone);
    waits.end(gone);
    test.same([waits.waiting, waits.remote.count, waits.local.count], [0, 0, 0]);
    test.end();
  },
);
