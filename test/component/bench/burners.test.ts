// Burners that do not do what they are for: the benchmark fails, and does not wait for them.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Burners } from '../../bench/burners.js';
import { until } from '../../support/until.js';

/** Runs until there is a file beside it. */
const BUSY = `#!/bin/sh
echo $$ >>"$0-ids"
echo busy
while [ ! -e "$0-end" ]; do sleep 0.05; done
`;

await test('one that ends before it is busy', async (t) => {
  const program = join(t.testdir(), 'burner');
  writeFileSync(program, '#!/bin/sh\nexit 3\n');
  chmodSync(program, 0o755);
  await t.rejects(Burners.start(program), /burner: ended \(exit 3\) before it was busy/);
  await t.rejects(Burners.start(`${program}-missing`), { code: 'ENOENT' });
});

await test('one that ends before it is stopped', async (t) => {
  const program = join(t.testdir(), 'burner');
  writeFileSync(program, BUSY);
  chmodSync(program, 0o755);
  const burners = await Burners.start(program);
  writeFileSync(`${program}-end`, '');
  const ids = readFileSync(`${program}-ids`, 'utf8').trim().split('\n');
  await until(() => ids.every((id) => !existsSync(`/proc/${id}`)));
  await t.rejects(burners.stop(), /(\d+) of \1 burners have ended too early/);
});

await test('those that are busy are ended', async (t) => {
  const program = join(t.testdir(), 'burner');
  writeFileSync(program, BUSY);
  chmodSync(program, 0o755);
  const burners = await Burners.start(program);
  await burners.stop();
  const ids = readFileSync(`${program}-ids`, 'utf8').trim().split('\n');
  t.ok(ids.length > 0);
  t.same(
    ids.filter((id) => existsSync(`/proc/${id}`)),
    [],
  );
});
