// Errors: the maximum length of messages, of the project's own errors and of any other thrown value.
import { lstatSync, mkdirSync } from 'node:fs';
import { test } from 'tap';
import {
  MAX_MESSAGE_LENGTH,
  OverlaybdError,
  boundedMessage,
  codeOf,
  factsOf,
  formatError,
  fullStory,
  knownCode,
  messageOf,
  storyLines,
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

await test('the facts of an error are fields', (t) => {
  const problem = { blob: 'l', section: 'header', offset: 8, expected: '1', got: 2n ** 60n };
  const facts = { blob: 'l', section: 'header', offset: 8, expected: '1', got: `${2n ** 60n}` };
  const error = formatError(problem);
  t.same(factsOf(error), facts);
  const outer = new OverlaybdError('BAD_FORMAT', 'export', {
    cause: error,
    facts: { export: 'a' },
  });
  t.same(factsOf(outer), { ...facts, export: 'a' }, 'including the facts of its cause');
  t.same(factsOf(new Error('x', { cause: error })), {});
  t.equal(codeOf(error), 'BAD_FORMAT');
  t.equal(codeOf(new TypeError('x')), 'BUG');
  t.equal(knownCode('BUSY'), 'BUSY');
  for (const code of ['FUTURE', '', 7, null, undefined]) t.equal(knownCode(code), 'IO');
  t.end();
});

await test('every way to make a message is bounded', (t) => {
  const error = new OverlaybdError('IO', long);
  t.ok(error.message.length <= MAX_MESSAGE_LENGTH);
  t.ok((error.stack ?? '').length <= MAX_MESSAGE_LENGTH + 4096);
  const format = formatError({ blob: long, section: 'a', offset: 1, expected: 'b', got: long });
  t.ok(format.message.length <= MAX_MESSAGE_LENGTH);
  t.match(format.message, / end$/, 'the end of the value is kept');
  for (const thrown of [new Error(long), long]) {
    t.ok(messageOf(thrown).length <= MAX_MESSAGE_LENGTH);
  }
  t.equal(messageOf(new Error('short')), 'short');
  t.end();
});

await test('an error of a system call is told as all others are', (t) => {
  for (const call of [() => lstatSync('/dev/null/x'), () => mkdirSync('/dev/null/x')]) {
    let thrown: unknown;
    try {
      call();
    } catch (error) {
      thrown = error;
    }
    t.equal(messageOf(thrown), 'ENOTDIR (not a directory)');
  }
  t.equal(messageOf(new Error('EOF: no more, but why')), 'EOF: no more, but why');
  t.end();
});

await test('a bug is reported with its stack, and its message cannot forge log lines', (t) => {
  t.same(storyLines(new OverlaybdError('IO', 'a: b')), ['a: b']);
  const [head, first, ...more] = storyLines(new TypeError('x\n    at forged\nerror: y'));
  t.equal(head, 'BUG: TypeError: x\n    at forged\nerror: y', 'one line after it is escaped');
  t.match(first, /^ {4}at /);
  t.ok(more.length > 0);
  t.same(storyLines('text'), ['BUG: text']);
  t.end();
});

await test('files of the program that were replaced are not a bug', (t) => {
  const message = 'main.rest.js: not of the version that runs; start the program again';
  const outside = Object.assign(new Error(message), { stack: message });
  t.equal(fullStory(outside), message);
  t.match(fullStory(new Error(message)), /^BUG: Error: main\.rest\.js/);
  t.end();
});
