// The phases of a connection, with the deadline of each.
import { test } from 'tap';
import { DEADLINES } from '../../../daemon/reactor/connection-context.js';
import { Deadline } from '../../../daemon/reactor/deadline.js';
import { PhaseMachine } from '../../../daemon/reactor/phase-machine.js';

function machine() {
  let asked = 0;
  const deadline = new Deadline({ totalSent: 0, blocked: false }, () => undefined);
  const exports = { find: () => undefined, failure: () => undefined, list: () => [] };
  const phases = new PhaseMachine(deadline, () => {
    asked++;
    return { exports, deadlines: DEADLINES, hasEnded: false };
  });
  return { phases, deadline, asked: () => asked };
}

await test('a deadline begins with its phase, and continues in phases that share it', (t) => {
  const { phases, deadline, asked } = machine();
  t.equal(deadline.leftMs, Infinity);
  phases.enter('handshake');
  t.ok(deadline.leftMs <= DEADLINES.handshakeMs);
  t.equal(asked(), 1);
  phases.enter('tls');
  phases.enter('handshake');
  t.equal(asked(), 1, 'TLS takes no new time');
  phases.enter('serving');
  t.equal(deadline.leftMs, Infinity, 'a client may be idle');
  phases.enter('draining');
  t.ok(deadline.leftMs <= DEADLINES.drainMs);
  phases.enter('closed');
  t.equal(deadline.leftMs, Infinity, 'no timer is left');
  t.end();
});

await test('the machine knows its phase and the phases that may follow', (t) => {
  const { phases } = machine();
  t.ok(phases.is('new'));
  t.notOk(phases.mayBecome('draining'), 'there is nothing to answer');
  phases.enter('serving');
  t.ok(phases.is('serving'));
  t.equal(phases.current.name, 'serving');
  t.ok(phases.mayBecome('draining'));
  t.throws(() => phases.enter('handshake'), TypeError);
  t.ok(phases.is('serving'), 'a wrong step changes nothing');
  phases.enter('closed');
  t.end();
});
