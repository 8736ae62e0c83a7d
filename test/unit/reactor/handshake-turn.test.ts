// One turn of a handshake ends at its bounds, whatever a client asks for.
import { test } from 'tap';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import type { Handshake } from '../../../daemon/nbd/handshake.js';
import {
  MAX_BYTES_PER_TURN,
  MAX_STEPS_PER_TURN,
  MAX_UNSENT_BYTES,
} from '../../../daemon/nbd/limits.js';
import { Outbox, SendBufferPool } from '../../../daemon/nbd/outbox.js';
import { handshakeTurn } from '../../../daemon/reactor/handshake-turn.js';
import { Inbox } from '../../../daemon/reactor/inbox.js';

const REPLY = Buffer.alloc(16 * 1024);

/** A handshake that answers without end and counts its steps. */
function endless(answer: () => void): { handshake: Handshake; steps: () => number } {
  let steps = 0;
  const step = (): number => {
    if (++steps > 10 * MAX_STEPS_PER_TURN) throw new Error('the turn has no end');
    answer();
    return 1;
  };
  return { handshake: { result: null, step } as unknown as Handshake, steps: () => steps };
}

await test('a turn ends after MAX_STEPS_PER_TURN options', (t) => {
  const outbox = new Outbox(new SendBufferPool(), (_bytes, _offset, length) => length);
  const { handshake, steps } = endless(() => undefined);
  t.equal(handshakeTurn(handshake, new Inbox(), outbox), 'turn is over');
  t.equal(steps(), MAX_STEPS_PER_TURN);
  t.end();
});

await test('a turn ends after MAX_BYTES_PER_TURN of replies', (t) => {
  const outbox = new Outbox(new SendBufferPool(), (_bytes, _offset, length) => length);
  const { handshake } = endless(() => outbox.write(REPLY));
  t.equal(handshakeTurn(handshake, new Inbox(), outbox), 'turn is over');
  const made = outbox.totalSent + outbox.unsent;
  t.ok(made >= MAX_BYTES_PER_TURN && made < MAX_BYTES_PER_TURN + REPLY.length, `${made} bytes`);
  outbox.close();
  t.end();
});

await test('a turn ends when a client that takes no replies has the unsent limit', (t) => {
  const outbox = new Outbox(new SendBufferPool(), () => -EAGAIN);
  const { handshake } = endless(() => outbox.write(REPLY));
  t.equal(handshakeTurn(handshake, new Inbox(), outbox), 'waiting');
  const { unsent } = outbox;
  t.ok(unsent >= MAX_UNSENT_BYTES && unsent < MAX_UNSENT_BYTES + REPLY.length, `${unsent} bytes`);
  outbox.close();
  t.end();
});
