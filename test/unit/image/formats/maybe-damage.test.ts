// Which errors are worth another try with other bytes of the same blob.
import { test } from 'tap';
import { OverlaybdError } from '../../../../daemon/errors.js';
import { maybeDamage, settled } from '../../../../daemon/image/formats/maybe-damage.js';

await test('what is wrong with bytes may be damage, and nothing else', (t) => {
  for (const code of ['BAD_FORMAT', 'BAD_CHECKSUM', 'BAD_DATA', 'LIMIT', 'UNSUPPORTED'] as const) {
    t.ok(maybeDamage(new OverlaybdError(code, 'wrong')), code);
  }
  for (const code of ['REMOTE', 'NOT_FOUND', 'IO'] as const) {
    t.notOk(maybeDamage(new OverlaybdError(code, 'other')), code);
  }
  t.notOk(maybeDamage(new Error('a bug')));
  const final = settled(new OverlaybdError('BAD_CHECKSUM', 'fetched twice'));
  t.notOk(maybeDamage(final), 'of compared bytes');
  t.end();
});
