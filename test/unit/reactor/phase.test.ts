import { test } from 'tap';
import { POLL_READABLE, POLL_WRITABLE } from '../../../daemon/native/poll.js';
import { PHASES, checkNext, watchedEvents, type PhaseName } from '../../../daemon/reactor/phase.js';

const NAMES = Object.keys(PHASES) as PhaseName[];

function reachable(from: PhaseName): Set<PhaseName> {
  const seen = new Set<PhaseName>([from]);
  for (const name of seen) for (const next of PHASES[name].next) seen.add(next);
  return seen;
}

await test('every phase can be reached, and the connection can be closed from each', (t) => {
  t.same(reachable('new'), new Set(NAMES));
  for (const name of NAMES) {
    t.equal(PHASES[name].name, name);
    if (name !== 'closed') t.ok(PHASES[name].next.includes('closed'), name);
  }
  t.end();
});

await test('only the phases that the table names may follow', (t) => {
  for (const from of NAMES) {
    for (const to of NAMES) {
      const step = (): void => checkNext(PHASES[from], PHASES[to]);
      if (PHASES[from].next.includes(to)) t.doesNotThrow(step, `${from} to ${to}`);
      else t.throws(step, { name: 'TypeError', message: `from phase ${from} to ${to}` });
    }
  }
  t.end();
});

await test('phases read only bytes they use, and ending ones have a deadline', (t) => {
  for (const { name, bytes, reads, ends, deadline } of Object.values(PHASES)) {
    if (bytes === 'kept' || ends) t.not(reads, 'if wanted', name);
    if (ends && name !== 'closed') t.ok(deadline, name);
    if (bytes === 'options') t.ok(deadline, `${name}: a client cannot stay in its handshake`);
  }
  t.notOk(reachable('finishing').has('serving'));
  t.notOk(reachable('draining').has('serving'));
  t.end();
});

await test('a socket is watched for what the phase and the protocol can use', (t) => {
  const all = POLL_READABLE | POLL_WRITABLE;
  t.equal(watchedEvents(PHASES.serving, true, true), all);
  t.equal(watchedEvents(PHASES.serving, true, false), POLL_READABLE);
  t.equal(watchedEvents(PHASES.serving, false, true), POLL_WRITABLE);
  t.equal(watchedEvents(PHASES.serving, false, false), 0);
  t.equal(watchedEvents(PHASES.draining, true, true), POLL_WRITABLE, 'reads no more');
  t.equal(watchedEvents(PHASES.lingering, false, true), POLL_READABLE, 'until the client hangs up');
  t.equal(watchedEvents(PHASES.closed, true, true), 0);
  t.end();
});
