// Which range of a target must be checked, if the target lacks the end of its last sector.
import { test } from 'tap';
import { EntryLog, ZEROED } from '../../../daemon/lsmt/entry-log.js';
import { checkTargetEnd } from '../../../daemon/lsmt/target.js';

const SIZE = 20 * 512;

let spent = 0;
const effort = {
  spend: (units: number): void => {
    spent += units;
  },
  turn: () => null,
};

/** @param entries device offset, length, moffset and layer. @returns what is checked */
async function checked(
  entries: readonly [number, number, number, number][],
  size = SIZE,
): Promise<number[]> {
  const log = new EntryLog(entries.length + 1);
  // One of another layer, which is no part of it.
  log.push(0, 20, 0, 1);
  for (const entry of entries) log.push(...entry);
  const begins: number[] = [];
  const checkEnd = (begin: number): Promise<void> => Promise.resolve(void begins.push(begin));
  await checkTargetEnd({ size, checkEnd }, log, 1, 1, effort);
  return begins;
}

await test('where the contents begin that go on to the end', async (t) => {
  t.same(await checked([[0, 5, 3, 1]]), [], 'nothing ends there');
  t.same(await checked([[0, 5, 15, 0]]), [], "the layer's own data");
  t.same(await checked([[0, 5, ZEROED, 1]]), [], 'zeros');
  t.same(await checked([[0, 5, 15, 1]]), [15 * 512]);
  const inOrder: [number, number, number, number][] = [
    [0, 2, 10, 1],
    [2, 4, 12, 1],
    [9, 4, 16, 1],
  ];
  t.same(await checked(inOrder), [10 * 512]);
  t.same(await checked(inOrder.toReversed()), [10 * 512], 'scattered');
  const pieces = Array.from({ length: 100_000 }, (_, i): [number, number, number, number] => {
    return [2 * i, 1, 5000 + i, 1];
  });
  const size = 105_000 * 512;
  spent = 0;
  t.same(await checked(pieces, size), [5000 * 512]);
  t.equal(spent, pieces.length, 'it is announced');
  t.same(await checked(pieces.toReversed(), size), [5000 * 512], 'in very many pieces');
  t.same(
    await checked([
      [0, 2, 8, 1],
      [2, 3, 17, 1],
    ]),
    [17 * 512],
    'with a gap in front of it',
  );
  t.same(
    await checked([
      [0, 4, 14, 1],
      [4, 4, 16, 1],
      [9, 9, 15, 0],
    ]),
    [16 * 512],
    'with a part that is mapped twice',
  );
});

await test('a target with whole sectors is not checked', async (t) => {
  const log = new EntryLog(1);
  log.push(0, 5, 15, 1);
  spent = 0;
  await checkTargetEnd({ size: SIZE }, log, 0, 1, effort);
  t.equal(spent, 0);
  t.end();
});
