// Which size of their buffers the system is asked for.
import { test } from 'tap';
import { UNIX_SEND_BUFFER } from '../../../daemon/reactor/limits.js';
import { netCoreNumber, sendBufferToAsk } from '../../../daemon/reactor/send-buffer.js';

await test('a buffer is made larger, and never smaller', (t) => {
  const usual = 212_992;
  t.equal(sendBufferToAsk(usual, usual), UNIX_SEND_BUFFER);
  t.equal(sendBufferToAsk(usual, 4 << 20), UNIX_SEND_BUFFER);
  t.equal(sendBufferToAsk(null, null), UNIX_SEND_BUFFER);
  t.equal(sendBufferToAsk(2 * UNIX_SEND_BUFFER - 1, 4 << 20), UNIX_SEND_BUFFER);
  t.equal(sendBufferToAsk(2 * UNIX_SEND_BUFFER, 4 << 20), null, 'as large');
  t.equal(sendBufferToAsk(16 << 20, 16 << 20), null, 'a machine with larger buffers');
  t.equal(sendBufferToAsk(2 * usual, usual), null, 'as much as a program may ask for');
  t.end();
});

await test('what cannot be read is not known', (t) => {
  t.equal(netCoreNumber('no-such-number'), null);
  t.end();
});
