// The other end of the connections of loop-spin.test.ts: sends back each byte that it gets, until the end of the stream.
import { workerData } from 'node:worker_threads';
import { EAGAIN } from '../../../daemon/lib/errno.js';
import { POLL_READABLE, Poll } from '../../../daemon/native/poll.js';
import { sockets } from '../../../daemon/native/socket.js';

/** The socket, which the test owns and closes. */
const fd = workerData as number;
const bytes = Buffer.alloc(1);
const poll = new Poll(fd, () => {
  const n = sockets.recv(fd, bytes, 0, 1);
  if (n === 1) sockets.send(fd, bytes, 0, 1);
  else if (n !== -EAGAIN) poll.close();
});
poll.start(POLL_READABLE);
