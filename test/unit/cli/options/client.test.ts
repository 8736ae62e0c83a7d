// Where commands look for the running daemon.
import { join } from 'node:path';
import { test } from 'tap';
import { controlClient, folderOf } from '../../../../daemon/cli/options/client.js';
import { shortFolder } from '../../../support/daemon-process.js';

await test("the state folder is that of --state, or the user's own", (t) => {
  t.equal(folderOf('/run/x'), '/run/x');
  t.equal(folderOf('x'), join(process.cwd(), 'x'));
  const runtime = process.env['XDG_RUNTIME_DIR'];
  t.teardown(() => {
    if (runtime === undefined) delete process.env['XDG_RUNTIME_DIR'];
    else process.env['XDG_RUNTIME_DIR'] = runtime;
  });
  process.env['XDG_RUNTIME_DIR'] = '/run/user/7';
  const isRoot = process.geteuid?.() === 0;
  t.equal(folderOf(undefined), isRoot ? '/run/overlaybd-nbd' : '/run/user/7/overlaybd-nbd');
  delete process.env['XDG_RUNTIME_DIR'];
  if (!isRoot) t.throws(() => folderOf(undefined), { code: 'BAD_ARGUMENT', message: /--state/ });
  t.end();
});

await test('without a daemon the error names the control socket', async (t) => {
  // The path of a socket has at most 107 bytes.
  const state = shortFolder(t);
  await t.rejects(controlClient(state).status(), {
    code: 'NO_DAEMON',
    message: `${state}/control.sock: no daemon is running there`,
  });
});
