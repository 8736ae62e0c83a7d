// The greatest length of a message: for errors of ours, and for whatever else was thrown.
import { test } from 'tap';
import {
  MAX_MESSAGE_LENGTH,
  OverlaybdError,
  boundedMessage,
  formatError,
  messageOf,
} from '../../daemon/errors.js';

const long = `begin ${'x'.repeat(5_000_000)} end`;

await test('a message that is too long keeps its beginning and its end', (t) => {
  const cut = boundedMessage(long);
  t.ok(cut.length <= MAX_MESSAGE_LENGTH, `${cut.length} characters`);
  t.match(cut, /^begin x+ \.\.\. \(5000010 characters\) \.\.\. x+ end$/);
  const longest = 'y'.repeat(MAX_MESSAGE_LENGTH);
  t.equal(boundedMessage(longest), longest);
  t.end();
});

await test('every way to a message is bounded', (t) => {
  const error = new OverlaybdError('IO', long);
  t.ok(error.message.length <= MAX_MESSAGE_LENGTH);
  t.ok((error.stack ?? '').length <= MAX_MESSAGE_LENGTH + 4096);
  const format = formatError({ blob: long, section: 'a', offset: 1, expected: 'b', got: long });
  t.ok(format.message.length <= MAX_MESSAGE_LENGTH);
  t.match(format.message, / end$/, 'what was got is still there');
  for (const thrown of [new Error(long), long]) {
    t.ok(messageOf(thrown).length <= MAX_MESSAGE_LENGTH);
  }
  t.equal(messageOf(new Error('short')), 'short');
  t.end();
});
