// The predecessor's side of an upgrade, with a small program as the successor, started like the daemon.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { peerAt } from '../../../daemon/listen/peer.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { sockets } from '../../../daemon/native/socket.js';
import { startSuccessor } from '../../../daemon/upgrade/predecessor.js';

const NOTHING = { state: null, failed: [], sockets: [] };

/** Makes this process look like an instance of `program`. */
function isInstanceOf(t: Test, program: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'obd-'));
  const path = join(folder, 'program.mjs');
  writeFileSync(path, program);
  const before = process.argv;
  process.argv = [process.execPath, path, 'serve'];
  t.teardown(() => {
    process.argv = before;
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Reports that it is ready, and writes all received messages to a file until the channel ends. */
const READY = `
import { appendFileSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
const handover = JSON.parse(process.env.OVERLAYBD_NBD_HANDOVER);
const folder = process.env.FOLDER;
writeFileSync(folder + '/handover', JSON.stringify({ handover, arguments: process.argv.slice(2) }));
writeFileSync(folder + '/said', '');
const channel = new Socket({ fd: handover.channel });
const json = Buffer.from('{"type":"ready"}');
const header = Buffer.alloc(8);
header.writeUInt32LE(json.length);
channel.write(Buffer.concat([header, json]));
channel.on('data', (bytes) => {
  appendFileSync(folder + '/said', bytes);
  if (bytes.includes('"done"')) channel.end();
});
`;

await test('the successor is offered descriptors, then connections, and finishes', async (t) => {
  const folder = isInstanceOf(t, READY);
  const listener = sockets.listenTcp('127.0.0.1', 0, 1);
  t.teardown(() => descriptors.close(listener));
  const socket = { fd: listener, uri: 'nbd://127.0.0.1', file: null };
  const successor = await startSuccessor(
    {
      state: { folder: '/s', lockFd: listener, controlFd: listener },
      failed: Array.from({ length: 20 }, (_, i) => `bad ${i}`),
      sockets: [{ key: 'k', name: 'n', socket }],
    },
    { ...process.env, FOLDER: folder },
  );
  t.ok(successor.pid > 0);
  const [ours, other] = sockets.pair();
  t.teardown(() => descriptors.close(other));
  const peer = peerAt({ kind: 'unix', pid: 1, uid: 2 });
  const transmission = {
    export: '',
    form: 'simple',
    contexts: [],
    skip: 0,
    received: Buffer.from('half'),
  } as const;
  const counts = { requests: 1, errors: 0, bytesSent: 2 };
  successor.offer({
    info: { peer, exports: null, closed: () => undefined },
    connection: { id: 1, fd: ours, transmission, counts },
  });
  await successor.finish([]);

  const { handover, arguments: args } = JSON.parse(readFileSync(join(folder, 'handover'), 'utf8'));
  t.same(args, ['serve'], 'the arguments of this process');
  t.match(handover, {
    channel: 3,
    state: { folder: '/s', lock: 4, control: 5 },
    sockets: [{ fd: 6, key: 'k', name: 'n', uri: 'nbd://127.0.0.1', file: null }],
  });
  t.equal(handover.failed.length, 16);
  const said = readFileSync(join(folder, 'said'), 'latin1');
  t.match(said, '"peer":"pid 1 uid 2"', 'in the form that version 0.1 reads');
  t.match(said, '"from":{"uid":2,"device":null,"kind":"unix","group":"uid 2"');
  t.match(said, `"received":"${Buffer.from('half').toString('base64')}"`);
  t.match(said, '"type":"done"');
});

for (const [what, program, why] of [
  ['ends', 'process.exit(3)', 'it ended with exit code 3'],
  ['dies', 'process.kill(process.pid, "SIGKILL")', 'it ended with SIGKILL'],
] as const) {
  await test(`a successor that ${what} changes nothing`, async (t) => {
    isInstanceOf(t, program);
    await t.rejects(startSuccessor(NOTHING, process.env), {
      code: 'IO',
      message: new RegExp(`did not become ready: ${why}; the old one continues`),
    });
  });
}

/** Says as a daemon does why it fails. */
const FAILS = `
import { writeSync } from 'node:fs';
const { channel } = JSON.parse(process.env.OVERLAYBD_NBD_HANDOVER);
if (Number(process.env.OVERLAYBD_NBD_HANDOVER_HEARING) !== process.ppid) process.exit(9);
const error = { code: 'BAD_CONFIG', message: 'a.json: wrong', facts: { path: 'a.json', secret: 1 } };
const json = Buffer.from(JSON.stringify({ type: 'failed', error }));
const header = Buffer.alloc(8);
header.writeUInt32LE(json.length);
writeSync(channel, Buffer.concat([header, json]));
process.exitCode = 2;
`;

await test('a successor that says why it fails', async (t) => {
  isInstanceOf(t, FAILS);
  await t.rejects(startSuccessor(NOTHING, process.env), {
    code: 'BAD_CONFIG',
    message:
      'upgrade: the new daemon did not become ready: it ended with exit code 2, BAD_CONFIG: a.json: wrong; the old one continues',
    facts: { path: 'a.json', secret: undefined },
  });
});

/** Closes the channel, and takes longer to end than a daemon that says nothing may. */
const FAILS_SLOWLY = `${FAILS}
import { closeSync } from 'node:fs';
closeSync(channel);
setTimeout(() => undefined, 3000);
`;

await test('a successor that says why it fails, and takes long to end', async (t) => {
  isInstanceOf(t, FAILS_SLOWLY);
  await t.rejects(startSuccessor(NOTHING, process.env), {
    code: 'BAD_CONFIG',
    message: /it ended with exit code 2, BAD_CONFIG: a.json: wrong; the old one continues/,
  });
});

await test('a successor that hangs up and does not end', async (t) => {
  const hangsUp = `import { closeSync } from 'node:fs'; closeSync(3); setInterval(() => undefined, 1000);`;
  isInstanceOf(t, hangsUp);
  await t.rejects(startSuccessor(NOTHING, process.env), {
    code: 'IO',
    message: /did not become ready: it hung up; the old one continues/,
  });
});

await test('a program file that does not exist any more', async (t) => {
  isInstanceOf(t, '');
  const before = process.execPath;
  process.execPath = '/no/such/node';
  t.teardown(() => (process.execPath = before));
  await t.rejects(startSuccessor(NOTHING, process.env), {
    message: /ENOENT.*the old one continues/,
  });
});
