// The worker of poll.test.ts: one scenario for each thread, chosen by workerData. It makes no assertions.
import { parentPort, workerData } from 'node:worker_threads';
import { POLL_READABLE, POLL_WRITABLE, Poll } from '../../../daemon/native/poll.js';

export interface PollScenario {
  readonly name: 'busy' | 'idle' | 'stopped' | 'exit-in-callback' | 'throw' | 'throw-caught';
  /** Sockets that the test owns and closes; each is writable and has nothing to read. */
  readonly fds: readonly number[];
}

const { name, fds } = workerData as PollScenario;
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a MessagePort has none
const tell = (message: unknown) => parentPort?.postMessage(message);

/** Handles in all states: firing all the time, waiting, just closed, never started. */
function busy(): void {
  let events = 0;
  for (const [i, fd] of fds.entries()) {
    const poll = new Poll(fd, () => {
      if (++events === 1000) tell('ready');
      if (i % 4 === 2) poll.close();
    });
    if (i % 4 !== 3) poll.start(i % 4 === 1 ? POLL_READABLE : POLL_WRITABLE);
  }
}

function one(callback: (events: number) => void) {
  return new Poll(fds[0] ?? -1, callback);
}

const scenarios: Record<PollScenario['name'], () => void> = {
  busy,
  idle: () => {
    one(() => tell('must not fire')).start(POLL_READABLE);
    tell('ready');
  },
  stopped: () => {
    const poll = one(() => poll.stop());
    poll.start(POLL_WRITABLE);
  },
  'exit-in-callback': () => {
    one(() => process.exit(7)).start(POLL_WRITABLE);
  },
  throw: () => {
    one(() => {
      throw new Error('out of the callback');
    }).start(POLL_WRITABLE);
  },
  'throw-caught': () => {
    let calls = 0;
    process.on('uncaughtException', (error) => tell(error.message));
    const poll = one(() => {
      if (++calls === 3) poll.close();
      throw new Error(`call ${calls}`);
    });
    poll.start(POLL_WRITABLE);
  },
};

scenarios[name]();
