// Listening at real addresses: every address of a name, modes and owners, stale socket files, accounts.
import {
  closeSync,
  lstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { listenerSpec, type ListenerSpec } from '../../../daemon/config/listener.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { groupId, userId } from '../../../daemon/listen/accounts.js';
import {
  closeListening,
  takeListening,
  openListening,
  type ListeningSocket,
} from '../../../daemon/listen/listening-socket.js';
import { boundSocket } from '../../support/bound-socket.js';

const HAS_IPV6 = (() => {
  const fd = sockets.listenTcp('::1', 0, 1);
  if (fd >= 0) descriptors.close(fd);
  return fd >= 0;
})();

/** Closed at the end of the test. */
async function open(
  test: Test,
  spec: ListenerSpec,
  ...hosts: string[]
): Promise<ListeningSocket[]> {
  const resolve = hosts.length > 0 ? async () => hosts : undefined;
  const opened = await openListening(spec, undefined, resolve);
  test.teardown(() => {
    for (const each of opened) closeListening(each);
  });
  return opened;
}

function folderOf(test: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  test.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}

await t.test('all addresses of a host name are listened on, with one port', async (test) => {
  const hosts = HAS_IPV6 ? ['127.0.0.1', '::1', '127.0.0.2'] : ['127.0.0.1', '127.0.0.2'];
  const opened = await open(test, listenerSpec('tcp://name:0'), ...hosts);
  const port = sockets.localPort(opened[0]?.fd ?? -1);
  const uris = hosts.map((host) => `nbd://${host.includes(':') ? `[${host}]` : host}:${port}`);
  test.same(
    opened.map(({ uri }) => uri),
    uris,
  );
});

await t.test('an address that the machine does not have', async (test) => {
  const spec = listenerSpec('tcp://name:0');
  const opened = await open(test, spec, '192.0.2.77', '127.0.0.1');
  test.equal(opened.length, 1, 'it is skipped if there is another one');
  await test.rejects(open(test, spec, '192.0.2.77', '192.0.2.78'), {
    code: 'SOCKET',
    message: /192\.0\.2\.77.*no such address/,
  });
});

await t.test('a port that is in use at one address: none is listened on', async (test) => {
  const [taken] = await open(test, listenerSpec('tcp://name:0'), '127.0.0.3');
  const port = sockets.localPort(taken?.fd ?? -1);
  const spec = listenerSpec(`tcp://name:${port}`);
  await test.rejects(open(test, spec, '127.0.0.4', '127.0.0.3'), {
    message: new RegExp(`127\\.0\\.0\\.3:${port}.*another process`),
  });
  await open(test, spec, '127.0.0.4');
});

await t.test('a host name that does not exist', async (test) => {
  await test.rejects(openListening(listenerSpec('tcp://no.such.host.invalid:1')), {
    code: 'LOOKUP',
    message: /^tcp:\/\/no\.such\.host\.invalid: /,
  });
});

await t.test('mode, owner and group are set, whatever the umask is', async (test) => {
  const folder = folderOf(test);
  const before = process.umask(0o077);
  test.teardown(() => process.umask(before));
  for (const [mode, path] of [
    ['0666', 'open'],
    ['0600', 'closed'],
    ['000', 'none'],
  ] as const) {
    const address = `unix://${folder}/${path}`;
    await open(test, listenerSpec({ address, mode, owner: process.getuid?.() ?? 0 }));
    test.equal(statSync(join(folder, path)).mode & 0o7777, Number.parseInt(mode, 8));
  }
  await open(test, listenerSpec(`unix://${folder}/plain`));
  test.equal(
    statSync(join(folder, 'plain')).mode & 0o777,
    0o700,
    'without a mode the umask applies',
  );

  const group = process.getgroups?.().at(-1) ?? 0;
  await open(test, listenerSpec({ address: `unix://${folder}/group`, mode: '0660', group }));
  test.match(statSync(join(folder, 'group')), { gid: group, uid: process.getuid?.() });

  const other = { address: `unix://${folder}/other`, owner: 12_345, group: 54_321 };
  if (process.getuid?.() === 0) {
    await open(test, listenerSpec({ ...other, mode: '0640' }));
    test.match(statSync(join(folder, 'other')), { uid: 12_345, gid: 54_321, mode: 0o140640 });
  } else {
    await test.rejects(open(test, listenerSpec(other)), {
      code: 'SOCKET',
      message: /owner or group/,
    });
    test.equal(lstatSync(join(folder, 'other'), { throwIfNoEntry: false }), undefined);
  }
});

await t.test('accounts are looked up by name', async (test) => {
  const { username, uid } = userInfo();
  test.equal(userId(username), uid);
  test.equal(userId(77), 77);
  test.equal(groupId(78), 78);
  test.equal(groupId('root'), 0);
  test.throws(() => userId('no such user'), {
    code: 'NOT_FOUND',
    message: /^user "no such user": /,
  });
  test.throws(() => groupId('nobody-here'), { code: 'NOT_FOUND', message: /^group "nobody-here"/ });
  const address = `unix://${folderOf(test)}/s`;
  await test.rejects(open(test, listenerSpec({ address, owner: 'no-such-user' })), {
    code: 'NOT_FOUND',
  });
});

await t.test('Unix sockets: other files at the path are refused and kept', async (test) => {
  const folder = folderOf(test);
  const spec = listenerSpec({ address: `unix://${folder}/s`, mode: '0666' });
  writeFileSync(join(folder, 's'), 'mine', { mode: 0o600 });
  await test.rejects(open(test, spec), { message: /the path is not a socket/ });
  test.equal(statSync(join(folder, 's')).mode & 0o777, 0o600, 'it keeps its mode');
  rmSync(join(folder, 's'));
  writeFileSync(join(folder, 'target'), '', { mode: 0o600 });
  symlinkSync('target', join(folder, 's'));
  await test.rejects(open(test, spec), { message: /cannot listen/ });
  test.equal(statSync(join(folder, 'target')).mode & 0o777, 0o600);
  rmSync(join(folder, 's'));

  const [socket] = await openListening(spec);
  test.ok(socket);
  await test.rejects(open(test, spec), { message: /another process listens/ });
  if (socket) closeListening(socket);
  test.equal(lstatSync(join(folder, 's'), { throwIfNoEntry: false }), undefined);
});

/** A socket file without a process. */
function deadSocket(path: string): void {
  descriptors.close(sockets.listenUnix(path, 1));
}

await t.test('a stale socket file is replaced by one of two processes', async (test) => {
  const folder = folderOf(test);
  const path = join(folder, 's');
  deadSocket(path);
  const spec = listenerSpec(`unix://${path}`);
  const tries = await Promise.allSettled([openListening(spec), openListening(spec)]);
  const won = tries.flatMap((each) => (each.status === 'fulfilled' ? each.value : []));
  test.equal(won.length, 1);
  test.match(
    tries.find(({ status }) => status === 'rejected'),
    {
      reason: { message: /another process listens/ },
    },
  );
  test.equal(sockets.probeUnix(path), 0, 'the winner listens');
  test.same(readdirSync(folder), ['s']);
  for (const each of won) closeListening(each);
  test.same(readdirSync(folder), []);
});

await t.test('a stale socket file in a folder that another process has locked', async (test) => {
  const folder = folderOf(test);
  const path = join(folder, 's');
  const lock = openSync(folder, 'r');
  test.teardown(() => closeSync(lock));
  descriptors.lockFile(lock);
  const spec = listenerSpec(`unix://${path}`);
  const [free] = await openListening(spec);
  test.ok(free, 'the lock matters only if a file is replaced');
  if (free) closeListening(free);
  deadSocket(path);
  await test.rejects(open(test, spec), { code: 'BUSY', message: /lock \(flock\) of its folder/ });
});

await t.test('sockets that were passed to the process', async (test) => {
  const folder = folderOf(test);
  const fd = await boundSocket(test, join(folder, 's'));
  const [tcp] = await open(test, listenerSpec('tcp://127.0.0.1:0'));
  const uri = `nbd+unix:///?socket=${folder}/s`;
  test.same(takeListening(fd), { fd, uri, file: null, isUnix: true });
  test.match(takeListening(tcp?.fd ?? -1), { uri: tcp?.uri, isUnix: false });
  await test.rejects(open(test, listenerSpec('fd://web')), {
    code: 'BAD_CONFIG',
    message: /fd:\/\/web: no socket of that name/,
  });
});
