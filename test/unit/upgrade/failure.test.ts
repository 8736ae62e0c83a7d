// What a successor that fails says, over a real socket pair.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { MessageChannel } from '../../../daemon/ipc/message-channel.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import {
  HEARING_VARIABLE,
  predecessorWaits,
  predecessorWaitsNoMore,
  tellPredecessor,
} from '../../../daemon/upgrade/failure.js';

const ERROR = new OverlaybdError('IO', 'a: broken', { facts: { path: 'a' } });

/** @returns what the predecessor hears until the channel ends */
async function heard(parent: number, tell: () => void): Promise<unknown[]> {
  const [ours, theirs] = sockets.pair();
  const messages: unknown[] = [];
  const env = { [HEARING_VARIABLE]: `${parent}` };
  predecessorWaits(theirs, env);
  await new Promise<void>((closed) => {
    const channel = new MessageChannel(ours, {
      message: (message) => messages.push(message),
      closed: () => closed(),
    });
    tell();
    if (HEARING_VARIABLE in env) channel.close();
  });
  descriptors.close(theirs);
  return messages;
}

await test('a predecessor hears why, once', async (t) => {
  const messages = await heard(process.ppid, () => {
    tellPredecessor(ERROR);
    tellPredecessor(ERROR);
  });
  const error = { code: 'IO', message: 'a: broken', facts: { path: 'a' } };
  t.same(messages, [{ type: 'failed', error }]);
});

await test('one of version 0.1 takes any message for "ready", and passes the variable of another on', async (t) => {
  t.same(await heard(process.ppid + 1, () => tellPredecessor(ERROR)), []);
});

await test('the channel of a daemon that is ready is no place for errors', async (t) => {
  const [ours, theirs] = sockets.pair();
  t.teardown(() => [ours, theirs].forEach((fd) => descriptors.close(fd)));
  predecessorWaits(theirs, { [HEARING_VARIABLE]: `${process.ppid}` });
  predecessorWaitsNoMore();
  tellPredecessor(ERROR);
  t.equal(sockets.send(theirs, Buffer.from('x'), 0, 1), 1, 'it is open');
});
