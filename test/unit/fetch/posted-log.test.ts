// The log lines of the fetcher's thread.
import t from 'tap';
import type { FromFetcher } from '../../../daemon/fetch/messages.js';
import { PostedLog } from '../../../daemon/fetch/posted-log.js';

await t.test('lines are posted with their fields, a bounded number of them', (test) => {
  const posted: FromFetcher[] = [];
  const log = new PostedLog((message) => posted.push(message));
  log.log('warn', 'first', { host: 'h' });
  test.same(posted, [{ type: 'line', level: 'warn', message: 'first', fields: { host: 'h' } }]);
  for (let i = 0; i < 1000; i++) log.log('info', `line ${i}`);
  test.equal(posted.length, 64);
  log.taken();
  test.match(posted.at(-1), { level: 'warn', message: 'the fetcher left out 937 lines' });
  log.log('info', 'no room');
  test.equal(posted.length, 65);
  for (let i = 0; i < 64; i++) log.taken();
  test.match(posted.at(-1), { message: 'the fetcher left out 1 line' });
  log.log('info', 'room again');
  test.match(posted.at(-1), { message: 'room again' });
  test.end();
});
