// What processes of tests are started with.
import { text } from 'node:stream/consumers';
import { test, type Test } from 'tap';
import { startNode } from '../../runner/test-process.js';

const NAME = 'NODE_EXTRA_CA_CERTS';

/** What a process that the runner starts has as its certificates. */
async function certificates(t: Test, environment: Record<string, string>): Promise<string> {
  const before = process.env[NAME];
  process.env[NAME] = '/dev/null';
  t.teardown(() => {
    if (before === undefined) delete process.env[NAME];
    else process.env[NAME] = before;
  });
  const child = startNode(['-p', `process.env.${NAME}`], { environment });
  return (await text(child.stdout)).trim();
}

await test('certificates that Node.js would read at each start are left out', async (t) => {
  t.equal(await certificates(t, {}), 'undefined');
});

await test('unless the caller asks for them', async (t) => {
  t.equal(await certificates(t, { [NAME]: '/dev/full' }), '/dev/full');
});
