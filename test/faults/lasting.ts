// Faults that stay as long as it takes: reads are right or EIO, others are not disturbed, and when the faults have gone
// all is right.
import type { Test } from 'tap';
import { FAULTS } from '../support/registry/faults.js';
import { comparePatiently } from '../support/registry/remote-image.js';
import type { FaultOptions } from './options.js';
import { readHealthy, readOnce, readUntilRight, startSickWorld } from './sick-exports.js';

/** Seconds. */
const DEADLINE = 5;

/**
 * Every other fault meets an image of which nothing is cached; the rest meet one that is partly cached and whose blobs
 * are in a store.
 * @param options `count`: how often, with the two kinds in turn; `seed`: which kind begins
 */
export async function lasting(t: Test, { count, seed }: FaultOptions): Promise<void> {
  for (let round = 0; round < count; round++)
    await once(t, (position) => (position + seed + round) % 2 === 0);
}

async function once(t: Test, isCold: (position: number) => boolean): Promise<void> {
  const faults = FAULTS.filter((fault) => fault.lasting !== null);
  const frontOf = (position: number): { redirect?: 'store' } =>
    isCold(position) ? {} : { redirect: 'store' };
  const world = await startSickWorld(t, faults, frontOf, DEADLINE);
  const { daemon, sick } = world;
  for (const [position, { client, files }] of sick.entries()) {
    // No more: where much of a blob is there, the rest is fetched without a read.
    const cached = isCold(position) ? 0 : files.device.length / 4;
    t.equal(await comparePatiently(client, files.device, 0, cached), null);
  }
  for (const { front, fault } of sick) {
    front.rule({ match: { kind: 'data' }, action: fault.action });
  }
  let over = false;
  const others = readHealthy(world, () => over);
  const seen = await readOnce(sick);
  over = true;
  for (const [position, { fault }] of sick.entries()) {
    const expected = fault.lasting === 'error' ? /^error 5 / : /^(?:right$|error 5 )/;
    const what = `${fault.name}, ${isCold(position) ? 'cold' : 'partly cached, with a store'}`;
    t.match(seen[position], expected, what);
  }
  const { rounds, problem } = await others;
  t.equal(problem, null, `the healthy export was right ${rounds} times`);

  for (const { front } of sick) front.rules.clear();
  const after = await readUntilRight(sick);
  for (const [position, { fault, client, front }] of sick.entries()) {
    t.equal(after[position], 'right', `${fault.name}: right when it has gone`);
    // The fault "416" is an answer that no request has deserved.
    const violations = front.log.violations().filter((line) => !line.includes('does not have'));
    t.same(violations, []);
    client.destroy();
  }
  await daemon.stop(t);
  t.notMatch(daemon.log, '\u001b', 'what is logged is escaped');
}
