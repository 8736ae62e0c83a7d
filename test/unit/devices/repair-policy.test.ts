// When connections of a device are replaced: the pauses between tries, and the ends of trying.
import { test } from 'tap';
import {
  FIRST_REPAIR_MS,
  LAST_REPAIR_MS,
  RepairPolicy,
  type RepairSituation,
} from '../../../daemon/devices/repair-policy.js';

const lacking: RepairSituation = { isServed: true, missing: 1, isOurs: () => true };

await test('pauses double up to a limit, and restart after connections that lasted', (t) => {
  const policy = new RepairPolicy();
  t.equal(policy.delayMs, FIRST_REPAIR_MS);
  const pauses = Array.from({ length: 12 }, () => {
    t.equal(policy.step(lacking), 'connect');
    return policy.delayMs;
  });
  t.same(
    pauses.slice(0, 3),
    [2, 4, 8].map((times) => FIRST_REPAIR_MS * times),
  );
  t.same(pauses.slice(8), Array(4).fill(LAST_REPAIR_MS));
  for (let i = 0; i < 2000; i++) policy.step(lacking);
  t.equal(policy.delayMs, LAST_REPAIR_MS, 'however many tries');
  policy.lasted();
  t.equal(policy.delayMs, FIRST_REPAIR_MS);
  t.end();
});

await test('a device that needs no repair counts no try', (t) => {
  const policy = new RepairPolicy();
  const unasked = (): boolean => t.fail('the kernel is not called');
  for (const situation of [
    { ...lacking, missing: 0, isOurs: unasked },
    { ...lacking, missing: -1, isOurs: unasked },
    { ...lacking, isServed: false, isOurs: unasked },
  ]) {
    t.equal(policy.step(situation), 'wait');
  }
  t.equal(policy.step({ ...lacking, isOurs: () => false }), 'give up');
  t.equal(policy.delayMs, FIRST_REPAIR_MS);
  t.end();
});
