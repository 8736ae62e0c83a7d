// The version that the program reports.
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { packageVersion } from '../../../daemon/lib/package-version.js';

await test('the version is that of package.json', (t) => {
  const file = new URL('../../../../package.json', import.meta.url);
  t.equal(packageVersion(), JSON.parse(readFileSync(file, 'utf8')).version);
  t.match(packageVersion(), /^\d+\.\d+\.\d+/);
  t.end();
});
