// Images that cannot be opened at the start: when they end the daemon, and when not. On reload: reload.test.ts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { socketOf } from '../support/control.js';
import { askRaw } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { lsmtPage } from '../support/lsmt-layout.js';
import { RawNbdClient } from '../support/nbd-client.js';

t.setTimeout(900_000);

const folder = shortFolder(t);
const good = join(folder, 'good.img');
const content = writeRaw(good, 1, 64 << 10);
const bad = join(folder, 'bad.json');
writeFileSync(bad, '{"lowers": [{"file": "not-there"}]}');

function config(exports: Record<string, unknown>, rest: object = {}): string {
  const path = join(shortFolder(t), 'daemon.json');
  writeFileSync(path, JSON.stringify({ exports, listen: [], ...rest }));
  return path;
}

await t.test('good exports of a configuration are served in spite of bad ones', async (test) => {
  const state = join(shortFolder(test), 'state');
  const args = ['--config', config({ good, bad }), '--state', state];
  const daemon = await DaemonProcess.start(test, args);
  test.match(daemon.log, /error.* export "bad" is not served: .*lowers\.0: .*not-there/);
  const client = await RawNbdClient.open(daemon.unix, 'good');
  test.ok((await client.read(0, 4096)).equals(content.subarray(0, 4096)));
  await client.disconnect();
  await test.rejects(
    RawNbdClient.open(daemon.unix, 'bad'),
    /"bad" cannot be served now: .*NOT_FOUND/,
  );
  await test.rejects(
    RawNbdClient.open(daemon.unix),
    /no default export/,
    'with two exports in the configuration there is no default',
  );
  const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
  test.match(JSON.parse(body), {
    images: { served: 1, failed: 1 },
    exports: [{ name: 'good' }, { name: 'bad', problem: { code: 'NOT_FOUND', tries: Number } }],
  });
  await daemon.stop(test);
});

await t.test('a daemon whose exports all fail waits for them', async (test) => {
  const late = join(shortFolder(test), 'late.img');
  const daemon = await DaemonProcess.start(test, ['--config', config({ late })]);
  await test.rejects(RawNbdClient.open(daemon.unix), /"" cannot be served now/);
  writeFileSync(late, content);
  await daemon.waitForLines(/export "late": /);
  const client = await RawNbdClient.open(daemon.unix);
  test.ok((await client.read(0, 512)).equals(content.subarray(0, 512)));
  await client.disconnect();
  await daemon.stop(test);
});

await t.test('a single image on the command line that fails ends the daemon', async (test) => {
  for (const args of [[bad], ['-e', `web=${bad}`], ['--stdio', bad]]) {
    const { code, stderr } = await runDaemon(['serve', ...args, '-l', 'tcp://127.0.0.1:0']);
    if (args[0] === '--stdio') test.not(code, 0, 'the other side does not speak NBD');
    else {
      test.equal(code, 1, args.join(' '));
      test.match(stderr, /lowers\.0: the layer is not on disk: tried .*not-there/);
    }
  }
});

await t.test('strict: a failed export ends the start, or the reload', async (test) => {
  const both = config({ good, bad });
  const listen = ['-l', `unix://${join(shortFolder(test), 'sock')}`];
  for (const args of [
    ['--strict', '--config', both],
    ['--config', config({ good, bad }, { strict: true })],
    ['--strict', '-e', `a=${good}`, '-e', `b=${bad}`],
  ]) {
    const state = ['--state', join(shortFolder(test), 'state')];
    const { code, stderr } = await runDaemon(['serve', ...args, ...listen, ...state]);
    test.equal(code, 1, args.join(' '));
    test.match(stderr, /export "(?:bad|b)": .*lowers\.0: .*not-there/);
  }
  const path = config({ good });
  const state = join(shortFolder(test), 'state');
  const daemon = await DaemonProcess.start(test, ['--strict', '--config', path, '--state', state]);
  writeFileSync(path, JSON.stringify({ exports: { good, bad }, listen: [] }));
  const { code, stderr } = await runDaemon(['reload', '--state', state]);
  test.equal(code, 1);
  test.match(stderr, /not-there/);
  await daemon.waitForLines(/reload: everything stays as it was/);
  await daemon.stop(test);
});

await t.test('strict: a raw disk image that looks like something else is refused', async (test) => {
  const packed = join(shortFolder(test), 'disk.qcow2');
  writeFileSync(packed, Buffer.concat([Buffer.from('514649fb0000', 'hex'), Buffer.alloc(2000)]));
  const refused = await runDaemon(['serve', '--strict', packed, '-l', 'tcp://127.0.0.1:0']);
  test.equal(refused.code, 1);
  test.match(refused.stderr, /disk\.qcow2: .*begins as a qcow2 file/);
  const daemon = await DaemonProcess.start(test, [packed]);
  test.match(daemon.log, /warn.*: served as a raw disk image, but it begins as a qcow2 file/);
  test.match(
    daemon.log,
    /warn.*: served as a raw disk image, but its size of 2006 bytes is not a multiple/,
  );
  await daemon.stop(test);
});

await t.test('a folder instead of a configuration: the error names its file', async (test) => {
  const place = shortFolder(test);
  writeFileSync(join(place, 'config.v1.json'), '{}');
  const { code, stderr } = await runDaemon(['serve', place, '-l', 'tcp://127.0.0.1:0']);
  test.equal(code, 1);
  test.match(stderr, `${place}: a folder: name the configuration in it, ${place}/config.v1.json`);
});

await t.test('clients are answered while a large image is opened', async (test) => {
  // An index of four million unsorted entries: seconds of work, none of it on the main thread.
  const place = shortFolder(test);
  const count = 4_000_000;
  const [data, index] = [join(place, 'data'), join(place, 'index')];
  const entries = Buffer.alloc(count * 16);
  for (let i = 0; i < count; i++) {
    entries.writeUInt32LE(((i * 7919) % count) * 16, i * 16);
    entries.writeUInt32LE((1 << 18) >>> 0, i * 16 + 4);
    entries.writeUInt32LE(8, i * 16 + 8);
    entries.writeUInt32LE(0x800000, i * 16 + 12);
  }
  const size = 2 ** 36;
  writeFileSync(
    index,
    Buffer.concat([lsmtPage({ flags: 1, indexOffset: 4096, virtualSize: size }), entries]),
  );
  writeFileSync(
    data,
    Buffer.concat([lsmtPage({ flags: 3, virtualSize: size }), Buffer.alloc(4096)]),
  );
  const large = join(place, 'large.json');
  writeFileSync(large, JSON.stringify({ upper: { index, data } }));
  const path = config({ good });
  const state = join(place, 'state');
  const daemon = await DaemonProcess.start(test, ['--config', path, '--state', state]);
  const before = daemon.residentBytes();
  writeFileSync(path, JSON.stringify({ exports: { good, large }, listen: [] }));
  let most = 0;
  const reload = runDaemon(['reload', '--state', state]);
  let answered = 0;
  for (let opened = false; !opened;) {
    const client = await RawNbdClient.open(daemon.unix, 'good');
    await client.disconnect();
    most = Math.max(most, daemon.residentBytes());
    // On a busy machine, a line says before that it is still being opened.
    opened = daemon.lines(/export "large": .* segments/).length > 0;
    if (!opened) answered++;
  }
  test.equal((await reload).code, 0);
  test.ok(answered >= 10, `${answered} clients came and went meanwhile`);
  // The thread itself, with its modules, takes 80 MiB and more where coverage is measured.
  test.ok(most - before < 40 * count + (128 << 20), `${most - before} bytes more at the peak`);
  test.match(daemon.log, new RegExp(`export "large": .*1 layer, ${count} segments`));
  await daemon.stop(test);
});
