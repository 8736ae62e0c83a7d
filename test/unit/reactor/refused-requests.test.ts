// Refused requests: the first of a kind is reported at once, later ones as a count, however many a client sends.
import t from 'tap';
import { NBD_CMD, NBD_EINVAL, NBD_EPERM } from '../../../daemon/nbd/constants.js';
import { Request } from '../../../daemon/nbd/request.js';
import type { RefusedRequestReport } from '../../../daemon/reactor/messages.js';
import { RefusedRequests } from '../../../daemon/reactor/refused-requests.js';

function requestOf(type: number, offset: number, length: number): Request {
  return Object.assign(new Request(), { type, offset, length });
}

let now = 0;
const reports: RefusedRequestReport[] = [];
const refused = new RefusedRequests(
  (report) => reports.push(report),
  () => now,
);

const request = requestOf(NBD_CMD.WRITE, 512, 4096);
refused.add('web', 'a client', request, NBD_EPERM, 'the export is read-only');
request.offset = 0; // the parser reuses the object
t.same(reports, [
  {
    count: 0,
    mixed: false,
    export: 'web',
    peer: 'a client',
    command: 'NBD_CMD_WRITE',
    offset: 512,
    length: 4096,
    error: 'NBD_EPERM',
    reason: 'the export is read-only',
  },
]);
for (let i = 1; i <= 100_000; i++) {
  refused.add(
    'web',
    'a client',
    requestOf(NBD_CMD.WRITE, i, 1),
    NBD_EPERM,
    'the export is read-only',
  );
}
refused.add('web', 'a client', requestOf(200, 0, 0), NBD_EINVAL, 'the command is not supported');
t.equal(reports.length, 2, 'one report for each kind');
t.match(reports[1], { command: 'NBD_CMD 200', error: 'NBD_EINVAL' });
now += 10_000;
refused.sweep();
t.equal(reports.length, 3);
t.match(reports[2], { count: 100_000, mixed: false, offset: 100_000 });

for (let i = 0; i < 1000; i++) refused.add(`export ${i}`, 'x', request, NBD_EINVAL, 'why');
t.ok(reports.length < 50, 'the number of kinds is bounded');
refused.sweep(true);
t.ok(reports.some(({ mixed, count }) => mixed && count > 900));
