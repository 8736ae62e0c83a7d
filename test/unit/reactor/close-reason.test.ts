// The reason for the end of a connection whose client was refused an export before.
import t from 'tap';
import { whyClosed } from '../../../daemon/reactor/close-reason.js';
import type { Handshake } from '../../../daemon/nbd/handshake.js';

const accepted = { refused: null } as Handshake;
const refused = { refused: 'there is no export "db"' } as Handshake;

t.same(whyClosed(null, 'client hung up', 'ended'), { reason: 'client hung up', kind: 'ended' });
t.same(
  whyClosed(accepted, 'client hung up', 'ended'),
  { reason: 'client hung up', kind: 'ended' },
  'a handshake without a refusal',
);
t.same(
  whyClosed(refused, 'client hung up', 'ended'),
  { reason: 'there is no export "db"; client hung up', kind: 'refused' },
  'the refusal is the reason',
);
for (const kind of ['protocol', 'bug'] as const) {
  t.same(whyClosed(refused, 'why', kind), { reason: 'why', kind }, `${kind}: its own reason`);
}
