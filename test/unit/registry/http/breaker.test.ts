// The breaker: when it opens, who may probe, how long it waits.
import { test } from 'tap';
import { Breaker, type Pass } from '../../../../daemon/registry/http/breaker.js';

const LIMITS = { breakerFailures: 3, probeFirstMs: 1000, probeMostMs: 4000 };

function make(): { breaker: Breaker; advance: (ms: number) => void } {
  let now = 0;
  return {
    breaker: new Breaker(LIMITS, () => now),
    advance: (ms) => {
      now += ms;
    },
  };
}

function enter(breaker: Breaker): Pass {
  const pass = breaker.enter();
  if (!pass) throw new Error('the breaker lets nothing through');
  return pass;
}

await test('failures in a row open it, a success between them does not', (t) => {
  const { breaker } = make();
  for (const outcome of ['failed', 'failed', 'succeeded', 'failed', 'failed'] as const) {
    enter(breaker)[outcome]();
  }
  t.equal(breaker.state, 'closed');
  t.equal(breaker.waitMs, 0);
  enter(breaker).failed();
  t.equal(breaker.state, 'open');
  t.equal(breaker.waitMs, 1000);
  t.equal(breaker.enter(), null);
  t.end();
});

await test('one probe at a time, later and later, until one succeeds', (t) => {
  const { breaker, advance } = make();
  for (let i = 0; i < 3; i++) enter(breaker).failed();
  for (const pause of [1000, 2000, 4000, 4000]) {
    t.equal(breaker.waitMs, pause);
    advance(pause);
    t.equal(breaker.waitMs, 0);
    const probe = enter(breaker);
    t.ok(probe.isProbe);
    t.equal(breaker.state, 'probing');
    t.equal(breaker.waitMs, null);
    t.equal(breaker.enter(), null, 'no second one');
    probe.failed();
    probe.succeeded();
    t.equal(breaker.state, 'open', 'the first outcome counts');
  }
  advance(4000);
  enter(breaker).succeeded();
  t.equal(breaker.state, 'closed');
  for (let i = 0; i < 3; i++) enter(breaker).failed();
  t.equal(breaker.waitMs, 1000, 'from the beginning');
  t.end();
});

await test('requests that were under way neither probe nor prolong', (t) => {
  const { breaker, advance } = make();
  const early = [enter(breaker), enter(breaker), enter(breaker)];
  for (let i = 0; i < 3; i++) enter(breaker).failed();
  early[0]?.failed();
  t.equal(breaker.waitMs, 1000);
  advance(1000);
  const probe = enter(breaker);
  early[1]?.abandoned();
  t.equal(breaker.state, 'probing');
  early[2]?.succeeded();
  t.equal(breaker.state, 'closed');
  probe.abandoned();
  t.equal(breaker.state, 'closed');
  t.end();
});

await test('a probe that is given up leaves its place; watchers hear of each outcome once', (t) => {
  const { breaker, advance } = make();
  for (let i = 0; i < 3; i++) enter(breaker).failed();
  let heard = 0;
  breaker.watch(() => heard++);
  const off = breaker.watch(() => (heard += 100));
  off();
  advance(1000);
  enter(breaker).abandoned();
  t.equal(heard, 1);
  enter(breaker).failed();
  t.equal(heard, 1);
  t.end();
});
