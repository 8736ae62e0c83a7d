// How hostile text is printed.
import t from 'tap';
import {
  MAX_MESSAGE_LENGTH,
  printable,
  printableJson,
  printableJsonLine,
  printableLine,
  quoted,
  quotedJson,
  shortened,
} from '../../../daemon/lib/printable.js';

const HOSTILE = 'a\x1b[2J\r\nb\t\x7f\x9b1m\u202e\u2028\u{e0041}\ud800é';

await t.test('printable characters stay, others become escapes', async (test) => {
  test.equal(
    printable(HOSTILE),
    'a\\u{1b}[2J\\u{d}\\nb\\t\\u{7f}\\u{9b}1m\\u{202e}\\u{2028}\\u{e0041}\\u{d800}é',
  );
  test.equal(printable('层 one, "two" \\'), '层 one, "two" \\');
});

await t.test('quoted text ends at its last quote', async (test) => {
  test.equal(quoted('a"b\\'), '"a\\"b\\\\"');
  test.equal(quoted('\n'), '"\\n"');
});

await t.test('JSON is safe to show and means the same', async (test) => {
  const value = { name: HOSTILE, list: [1, HOSTILE], [HOSTILE]: null };
  const text = printableJson(value);
  test.same(JSON.parse(text), value);
  test.notMatch(text.replaceAll('\n', ''), /[\p{C}\p{Zl}\p{Zp}]/u);
});

await t.test('a text that is too long says how much is left out', async (test) => {
  test.equal(shortened('abc', 3), 'abc');
  test.equal(shortened('abcd', 3), 'abc... (1 more characters)');
  test.equal(
    shortened('ab\u{1f600}', 3),
    'ab... (2 more characters)',
    'no character is cut in half',
  );
  const long = printableLine(`${'\n'.repeat(5000)}end`);
  test.ok(long.startsWith('\\n\\n'));
  test.match(long, `... (${5003 - MAX_MESSAGE_LENGTH} more characters)`);
});

await t.test('JSON is printed on one line', async (test) => {
  const text = printableJsonLine({ name: HOSTILE });
  test.same(JSON.parse(text), { name: HOSTILE });
  test.notMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u);
});

await t.test('a value that JSON.stringify cannot take has a text, too', async (test) => {
  test.equal(quotedJson({ a: '\n' }, 80), '"{\\"a\\":\\"\\\\n\\"}"');
  test.equal(quotedJson([1, 2], 3), '"[1,... (2 more characters)"');
  test.equal(quotedJson(undefined, 80), '"nothing"');
  // As with deep values, of which some releases of V8 make texts.
  const deep = {
    toJSON: (): never => {
      throw new RangeError('Maximum call stack size exceeded');
    },
  };
  test.equal(quotedJson(deep, 80), 'a value that is nested too deep');
});
