// What an operator is told about a login, beside client-login.test.ts: names of hosts, and texts of files.
import { test } from 'tap';
import { loginAdvice } from '../../../../daemon/registry/http/login-advice.js';

await test('Docker Hub by its usual name; what is not printable is escaped', (t) => {
  const todo =
    'run "docker login docker.io", or name a docker config.json with --registry-config FILE';
  t.equal(loginAdvice('registry-1.docker.io', null), todo);
  t.match(
    loginAdvice('registry-1.docker.io', { looked: ['/a\u001b', '/b'], found: null }),
    `no login for docker.io in /a\\u{1b}, /b; ${todo}`,
  );
  t.end();
});
