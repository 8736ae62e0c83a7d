// What our test runner understands of the output of a test file.
import { test } from 'tap';
import { countsOf, failuresOf, skipsOf, summary } from '../../runner/tap-output.js';

const OUTPUT = `TAP version 14
# Subtest: one
    ok 1 - should be equal
    not ok 2 - should be equal
      ---
      diff: |
        -1
        +2
      ...

    1..2
    # failed 1 of 2 tests
not ok 1 - one # time=1.5ms

ok 2 - fixtures # SKIP NOT TESTED, no fixtures
ok 3 - fixtures again # SKIP NOT TESTED, no fixtures
ok 4 - no reason # SKIP

1..4
# { total: 5, pass: 1, fail: 1, skip: 3 }
# time=15.3ms
`;

await test('the counts are those of the last line, and none when the file ended before it', async (t) => {
  t.same(countsOf(OUTPUT), { total: 5, pass: 1, fail: 1, skip: 3, todo: 0 });
  t.equal(countsOf('TAP version 14\nok 1 - one\n'), null);
});

await test('reasons of skipped tests, each once', async (t) => {
  t.same(skipsOf(OUTPUT), ['NOT TESTED, no fixtures', 'no reason']);
});

await test('what failed, without what passed', async (t) => {
  t.same(failuresOf(OUTPUT).slice(0, 4), [
    'TAP version 14',
    '# Subtest: one',
    '    not ok 2 - should be equal',
    '      ---',
  ]);
  t.notMatch(failuresOf(OUTPUT).join('\n'), /^ *ok/m);
});

await test('the summary can be read again', async (t) => {
  const counts = { total: 3, pass: 2, fail: 0, skip: 1, todo: 0 };
  t.equal(summary(counts), '# { total: 3, pass: 2, skip: 1 }');
  t.same(countsOf(summary(counts)), counts);
});
