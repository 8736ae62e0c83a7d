// The bytes on their way to one client and their memory; with a send function of the test's own.
import * as fc from 'fast-check';
import t from 'tap';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import { SendBuffer, SendBufferPool, Outbox } from '../../../daemon/nbd/outbox.js';
import { randomBytes } from '../../support/pattern.js';
import { holds } from '../../support/holds.js';

const EAGAIN = 11;
const EPIPE = 32;
const CHUNK = new SendBufferPool().take().bytes.length;

await t.test('all bytes are sent in order, however few the socket takes', async (test) => {
  const sizes = fc.array(fc.integer({ min: 0, max: 3 * CHUNK }), { maxLength: 5 });
  const takes = fc.infiniteStream(
    fc.oneof(fc.constant(0), fc.integer({ min: 1, max: CHUNK }), fc.constant(Infinity)),
  );
  await holds(
    test,
    fc.property(sizes, takes, (lengths, stream) => {
      const out: Buffer[] = [];
      const outbox = new Outbox(new SendBufferPool(), (bytes, offset, length) => {
        const n = Math.min(length, stream.next().value ?? Infinity);
        if (n === 0) return -EAGAIN;
        out.push(Buffer.from(bytes.subarray(offset, offset + n)));
        return n;
      });
      const written = lengths.map((length, i) => randomBytes(i + 1, length));
      for (const bytes of written) {
        outbox.write(bytes);
        outbox.flush();
      }
      for (let i = 0; outbox.unsent > 0 && i < 10_000; i++) {
        if (!outbox.blocked) return false;
        outbox.flush();
      }
      const all = Buffer.concat(written);
      return Buffer.concat(out).equals(all) && outbox.totalSent === all.length && !outbox.blocked;
    }),
    { seed: 3, numRuns: 60 },
  );
});

await t.test('bytes that were reserved and not committed are not sent', async (test) => {
  const out: string[] = [];
  const outbox = new Outbox(new SendBufferPool(), (bytes, offset, length) => {
    out.push(bytes.toString('latin1', offset, offset + length));
    return length;
  });
  const buffer = outbox.reserve(10);
  buffer.bytes.write('secret', buffer.end);
  outbox.flush();
  test.same(out, []);
  outbox.write(Buffer.from('said'));
  outbox.flush();
  test.same(out, ['said']);
});

await t.test('after a send error nothing more is sent', async (test) => {
  let sends = 0;
  const outbox = new Outbox(new SendBufferPool(), () => {
    sends++;
    return -EPIPE;
  });
  outbox.write(Buffer.alloc(10));
  outbox.flush();
  test.equal(outbox.failed, EPIPE);
  test.notOk(outbox.blocked);
  outbox.flush();
  test.equal(sends, 1);
  outbox.close();
  test.equal(outbox.unsent, 0);
});

await t.test('buffers are returned to the pool once and reused', async (test) => {
  const pool = new SendBufferPool();
  const outbox = new Outbox(pool, (_bytes, _offset, length) => length);
  outbox.write(Buffer.alloc(100));
  const used = outbox.reserve(1);
  outbox.flush();
  const again = pool.take();
  test.equal(again, used);
  test.match(again, { start: 0, end: 0 });
  test.not(pool.take(), used, 'the buffer is not handed out twice');
  const blocked = new Outbox(pool, () => -EAGAIN);
  blocked.write(Buffer.alloc(CHUNK));
  blocked.write(Buffer.alloc(10));
  blocked.flush();
  const held = blocked.reserve(1);
  blocked.close();
  blocked.close();
  test.equal(pool.take(), held);
  test.not(pool.take(), held);
});

await t.test('buffers of another owner are sent in their place and released', async (test) => {
  const memory = new LargeMemory(undefined, 1000);
  const user = { stalledSince: () => null, evict: () => undefined };
  const buffer = await memory.acquire(1000, user);
  buffer.bytes.fill('L');
  buffer.end = 1000;
  let room = 5;
  const out: Buffer[] = [];
  const outbox = new Outbox(new SendBufferPool(), (bytes, offset, length) => {
    const n = Math.min(room, length);
    room -= n;
    if (n === 0) return -EAGAIN;
    out.push(Buffer.from(bytes.subarray(offset, offset + n)));
    return n;
  });
  outbox.write(Buffer.from('before'));
  outbox.push(buffer);
  outbox.write(Buffer.from('after'));
  test.equal(outbox.unsent, 1011);
  const second = memory.acquire(1, user);
  let had = false;
  void second.finally(() => {
    had = true;
  });
  outbox.flush();
  room = 1000;
  outbox.flush();
  await new Promise(setImmediate);
  test.notOk(had, 'a byte of it is unsent');
  room = Infinity;
  outbox.flush();
  test.type(await second, SendBuffer);
  test.equal(Buffer.concat(out).toString('latin1'), `before${'L'.repeat(1000)}after`);
});
