import { test } from 'tap';
import { EAGAIN, ECONNRESET } from '../../../daemon/lib/errno.js';
import { Inbox } from '../../../daemon/reactor/inbox.js';
import type { Transport } from '../../../daemon/reactor/transport.js';

/** Returns these bytes, then the result. */
function source(bytes: Buffer, then = -EAGAIN): Transport {
  let at = 0;
  const recv: Transport['recv'] = (buffer, offset, length) => {
    if (at === bytes.length) return then;
    const n = bytes.copy(buffer, offset, at, Math.min(bytes.length, at + length));
    at += n;
    return n;
  };
  return { recv } as Transport;
}

await test('unused bytes stay in order, however many are used at a time', (t) => {
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * 7) % 251));
  const inbox = new Inbox();
  const transport = source(bytes);
  const used: Buffer[] = [];
  for (let step = 1; ; step = (step * 31) % 5003) {
    if (!inbox.isFull && inbox.receive(transport) === -EAGAIN && inbox.unused.length === 0) break;
    const n = Math.min(step, inbox.unused.length);
    t.equal(inbox.view.getUint8(inbox.start), inbox.unused[0]);
    used.push(Buffer.from(inbox.unused.subarray(0, n)));
    inbox.start += n;
  }
  t.ok(Buffer.concat(used).equals(bytes));
  t.end();
});

await test('the inbox is full while nothing is used, and has room afterwards', (t) => {
  const inbox = new Inbox();
  const transport = source(Buffer.alloc(100_000));
  while (!inbox.isFull) t.ok(inbox.receive(transport) > 0);
  inbox.start += 1;
  t.notOk(inbox.isFull);
  t.equal(inbox.receive(transport), 1);
  t.ok(inbox.isFull);
  inbox.discard();
  t.same([inbox.unused.length, inbox.isFull], [0, false]);
  t.end();
});

await test('the end of the stream, errors, and bytes that another reactor received', (t) => {
  const inbox = new Inbox();
  inbox.fill(Buffer.from('abc'));
  t.equal(inbox.receive(source(Buffer.from('def'))), 3);
  t.equal(inbox.unused.toString(), 'abcdef');
  t.equal(inbox.receive(source(Buffer.alloc(0))), -EAGAIN);
  t.equal(inbox.receive(source(Buffer.alloc(0), -ECONNRESET)), -ECONNRESET);
  t.equal(inbox.ended, false);
  t.equal(inbox.receive(source(Buffer.alloc(0), 0)), 0);
  t.equal(inbox.ended, true);
  t.equal(inbox.unused.toString(), 'abcdef', 'bytes before the end stay');
  inbox.close();
  t.equal(inbox.unused.length, 0);
  t.end();
});
