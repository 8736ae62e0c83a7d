// The rule that every file has a unit test or is listed, in both directions.
import { test } from 'tap';
import { checkMirrors } from '../../walls/mirrors.js';

const FILES = ['daemon/nbd/limits.ts', 'daemon/nbd/outbox.ts'];
const OUTBOX = 'test/unit/nbd/outbox.test.ts';

const check = (listed: Record<string, string>, tests: readonly string[], hasCode = true) =>
  checkMirrors(
    FILES,
    listed,
    () => hasCode,
    (file) => tests.includes(file),
  );

await test('a file has a test of the same name, or a place in the list', (t) => {
  t.same(check({ 'daemon/nbd/limits.ts': 'constants' }, [OUTBOX]), []);
  t.same(check({ 'daemon/nbd/limits.ts': 'test/e2e/x.ts' }, [OUTBOX, 'test/e2e/x.ts']), []);
  const withReason = { 'daemon/nbd/limits.ts': 'test/e2e/x.ts: it needs a daemon' };
  t.same(check(withReason, [OUTBOX, 'test/e2e/x.ts']), [], 'a reason may follow the test');
  t.match(check(withReason, [OUTBOX]), [/no such test: test\/e2e\/x\.ts$/]);
  const component = OUTBOX.replace('unit', 'component');
  t.same(check({ 'daemon/nbd/limits.ts': 'constants' }, [component]), [], 'below either folder');
  t.same(check({}, [OUTBOX], false), [], 'types need none');
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
  t.match(check({ 'daemon/nbd/limits.ts': 'test/e2e/x.ts' }, [OUTBOX]), [/no such test/]);
  t.end();
});
