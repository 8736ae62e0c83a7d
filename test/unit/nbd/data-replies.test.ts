// Which data is sent without a copy, and what happens to the read if it cannot be.
import t from 'tap';
import type { FileRange } from '../../../daemon/lib/disk.js';
import { DataReplies } from '../../../daemon/nbd/data-replies.js';
import { Outbox, SendBufferPool, type FileSender } from '../../../daemon/nbd/outbox.js';
import { ReplyWriter } from '../../../daemon/nbd/reply-writer.js';
import { FakeExport } from './fake-export.js';

const TO = { cookieHigh: 0, cookieLow: 7, offsetHigh: 0, offsetLow: 0 };
/** docs/limits.md: shorter runs are copied. */
const SHORTEST = 64 * 1024;

class FileDisk extends FakeExport {
  isFile = true;

  locate(offset: number, _length: number, into: FileRange): boolean {
    into.fd = 5;
    into.position = 1000 + offset;
    return this.isFile;
  }
}

function world(): {
  disk: FileDisk;
  taken: number[][];
  replies: DataReplies;
  outbox: Outbox;
  files: { takes: boolean };
} {
  const disk = new FileDisk(1 << 20);
  const outbox = new Outbox(new SendBufferPool(), (_bytes, _offset, length) => length);
  const taken: number[][] = [];
  const files = { takes: true };
  const sender: FileSender = {
    take: (fd, position, length) => {
      taken.push([fd, position, length]);
      return files.takes;
    },
    send: (length) => length,
    close: () => undefined,
  };
  outbox.files = sender;
  const replies = new DataReplies(disk, { hint: 0 }, outbox, new ReplyWriter(outbox, 'simple'));
  return { disk, taken, replies, outbox, files };
}

await t.test('reads of 64 KiB and more are not copied, shorter ones are', (test) => {
  const { disk, taken, replies, outbox } = world();
  test.ok(replies.write(TO, 10, SHORTEST - 1, true));
  test.same(taken, []);
  test.equal(disk.reads.length, 1);
  test.ok(replies.write(TO, 10, SHORTEST, true));
  test.same(taken, [[5, 1010, SHORTEST]]);
  test.equal(disk.reads.length, 1, 'not read');
  test.equal(outbox.unsent, 16 + SHORTEST - 1 + 16 + SHORTEST);
  test.end();
});

await t.test('data that is in no file, or that no pipe takes, is copied', (test) => {
  const { disk, taken, replies, outbox, files } = world();
  disk.isFile = false;
  test.ok(replies.write(TO, 0, SHORTEST, true));
  test.same([taken.length, disk.reads.length], [0, 1]);
  disk.isFile = true;
  files.takes = false;
  test.ok(replies.write(TO, 0, SHORTEST, true));
  test.same([taken.length, disk.reads.length], [1, 2]);
  outbox.files = null;
  test.ok(replies.write(TO, 0, SHORTEST, true));
  test.same([taken.length, disk.reads.length], [1, 3]);
  test.end();
});

await t.test('a read that would block or fails leaves no bytes in the outbox', (test) => {
  const { disk, replies, outbox } = world();
  disk.onRead = () => false;
  test.notOk(replies.write(TO, 0, 100, true));
  disk.onRead = () => {
    throw new Error('broken');
  };
  test.throws(() => replies.write(TO, 0, 100, true), { message: 'broken' });
  test.equal(outbox.unsent, 0);
  test.end();
});
