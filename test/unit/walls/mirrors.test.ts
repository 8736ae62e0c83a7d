// The rule that every file has a unit test or is listed, in both directions.
import { test } from 'tap';
import { checkMirrors } from '../../walls/mirrors.js';

const FILES = ['daemon/nbd/limits.ts', 'daemon/nbd/outbox.ts'];
const OUTBOX = 'test/unit/nbd/outbox.test.ts';

const check = (
  listed: Record<string, string>,
  tests: readonly string[],
  code = 'export const A = [1].map((n) => n);',
) =>
  checkMirrors(
    FILES,
    listed,
    () => code,
    (file) => tests.includes(file),
  );

await test('a file has a test of the same name, or a place in the list', (t) => {
  t.same(check({ 'daemon/nbd/limits.ts': 'constants' }, [OUTBOX]), []);
  const withReason = { 'daemon/nbd/limits.ts': 'test/e2e/x.ts: it needs a daemon' };
  t.same(check(withReason, [OUTBOX, 'test/e2e/x.ts']), [], 'a reason follows the test');
  t.match(check(withReason, [OUTBOX]), [/no such test: test\/e2e\/x\.ts$/]);
  const component = OUTBOX.replace('unit', 'component');
  t.same(check({ 'daemon/nbd/limits.ts': 'constants' }, [component]), [], 'below either folder');
  t.same(check({}, [OUTBOX], ''), [], 'types need none');
  t.end();
});

await test('every violation of the rule is reported', (t) => {
  const limits = { 'daemon/nbd/limits.ts': 'constants' };
  t.match(check({}, [OUTBOX]), [/^daemon\/nbd\/limits\.ts: no test\/unit\/nbd\/limits\.test\.ts/]);
  t.match(check({ ...limits, 'daemon/nbd/outbox.ts': 'constants' }, [OUTBOX]), [
    /^daemon\/nbd\/outbox\.ts: has .*: remove it/,
  ]);
  t.match(check({ ...limits, 'daemon/gone.ts': 'constants' }, [OUTBOX]), [
    /gone\.ts: no such file/,
  ]);
  const bare = { 'daemon/nbd/limits.ts': 'test/e2e/x.ts' };
  t.match(check(bare, [OUTBOX]), [/no such test/]);
  t.match(check(bare, [OUTBOX, 'test/e2e/x.ts']), [/no reason after test\/e2e\/x\.ts/]);
  for (const [covers, said] of [
    [OUTBOX, 'inbox.ts'],
    ['test/e2e/outbox.test.ts', 'outbox.ts'],
    ['test/unit/nbd/outbox-limits.test.ts', 'outbox-limits.ts'],
  ] as const) {
    const through = { 'daemon/nbd/limits.ts': `${covers}: tested through ${said}` };
    t.match(check(through, [OUTBOX, covers]), [
      /limits\.ts: test.* is not the test of a .* in daemon/,
    ]);
  }
  const through = { 'daemon/nbd/limits.ts': `${OUTBOX}: tested through outbox.ts` };
  t.same(check(through, [OUTBOX]), []);
  for (const code of [
    'export function f(n) {',
    'export const isF = (type) => F.test(type);',
    'export const f = async n => n;',
  ]) {
    t.match(check(limits, [OUTBOX], code), [/limits\.ts: it has functions/], code);
  }
  t.end();
});
