// Errors between threads.
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads';
import t from 'tap';
import { OverlaybdError, factsOf } from '../../../daemon/errors.js';
import { postedError, rebuiltError, receivedError } from '../../../daemon/lib/posted-error.js';

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
  test.match(arrived.cause, { code: 'REMOTE', message: 'inner', facts: { status: 503 } });
  test.end();
});

await t.test('the cause of a cause arrives, and a long chain is cut', (test) => {
  const system = Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });
  const middle = new OverlaybdError('IO', 'middle', { cause: system });
  const arrived = posted(new OverlaybdError('IO', 'outer', { cause: middle }));
  const last = (arrived.cause as OverlaybdError).cause as Error;
  test.equal(last.message, system.message);
  test.notOk(last instanceof OverlaybdError, 'an error of the system is none of ours');
  let chain: unknown = new OverlaybdError('IO', 'first');
  for (let i = 0; i < 1000; i++) chain = new OverlaybdError('IO', `${i}`, { cause: chain });
  let depth = 0;
  for (let at: unknown = posted(chain); at instanceof OverlaybdError; at = at.cause) depth++;
  test.equal(depth, 9);
  test.end();
});

await t.test('an error of another process keeps what is known of it', (test) => {
  const facts = { blob: 'b', offset: 8, got: 9 };
  const cause = { code: 'BAD_CHECKSUM', message: 'inner', facts: { digest: 'd' } };
  const sent = JSON.parse(JSON.stringify({ code: 'IO', message: 'outer', facts, cause })) as object;
  const error = receivedError(sent, 'no reason');
  test.match(error, { code: 'IO', message: 'outer' });
  test.same(error.facts, facts);
  test.match(error.cause, { code: 'BAD_CHECKSUM', message: 'inner' });
  test.same(factsOf(error), { ...facts, digest: 'd' });
  test.end();
});

await t.test('a hostile answer makes an error, and no other values', (test) => {
  const facts = {
    blob: 7,
    offset: '8',
    got: { a: 1 },
    status: Number.NaN,
    future: 'x',
    __proto__: { digest: 'inherited' },
    host: 'h'.repeat(100_000),
    url: 'https://me:secret@h/v2/?sig=secret',
    device: '/dev/nbd0',
  };
  for (const wrong of [null, 7, 'text', [], {}, { code: 7, message: [], facts: 'x', cause: 1 }]) {
    const error = receivedError(wrong, 'no reason');
    test.match(error, { code: 'IO', message: 'no reason' });
    test.same(error.facts, {});
  }
  let cause: object = { message: 'innermost' };
  for (let i = 0; i < 5000; i++) cause = { code: 'IO', message: 'x', cause };
  const error = receivedError({ code: 'FUTURE', message: 'm', facts, cause }, 'no reason');
  test.equal(error.code, 'IO');
  const { host = '', status, ...others } = error.facts;
  test.ok(host.length < 5000);
  test.ok(Number.isNaN(status));
  test.same(others, { url: 'https://...@h/v2/?...', device: '/dev/nbd0' });
  test.end();
});

await t.test('anything else is a bug, with its stack', (test) => {
  const arrived = posted(new TypeError('x is not a function'));
  test.equal(arrived.code, 'BUG');
  test.match(arrived.message, /x is not a function\n +at /);
  test.end();
});
