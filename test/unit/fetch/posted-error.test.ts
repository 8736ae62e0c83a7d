// Errors between threads.
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import t from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { postedError, rebuiltError } from '../../../daemon/fetch/posted-error.js';

/** What comes out of a message port. */
function posted(error: unknown): OverlaybdError {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(postedError(error));
  const { message } = receiveMessageOnPort(port2) as { message: ReturnType<typeof postedError> };
  port1.close();
  return rebuiltError(message);
}

await t.test('code, message and facts arrive, those of the cause too', (test) => {
  const cause = new OverlaybdError('REMOTE', 'inner', { facts: { status: 503 } });
  const error = new OverlaybdError('AUTH', 'no entry', { facts: { host: 'h' }, cause });
  const arrived = posted(error);
  test.ok(arrived instanceof OverlaybdError);
  test.match(arrived, { code: 'AUTH', message: 'no entry', facts: { host: 'h', status: 503 } });
  test.end();
});

await t.test('anything else is a bug, with its stack', (test) => {
  const arrived = posted(new TypeError('x is not a function'));
  test.equal(arrived.code, 'BUG');
  test.match(arrived.message, /x is not a function\n +at /);
  test.end();
});
