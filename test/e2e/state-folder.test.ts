// A state folder with unexpected files: the daemon starts, reports them in a few lines, and serves.
import { spawnSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { ControlClient } from '../../daemon/control/client.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';

const folder = shortFolder(t);
const image = join(folder, 'raw.img');
const raw = writeRaw(image, 5, 102_400);

function stateWith(fill: (path: string) => void): string {
  const state = join(shortFolder(t), 'state');
  mkdirSync(join(state, 'devices'), { recursive: true, mode: 0o700 });
  fill(state);
  return state;
}

await t.test('invalid records are reported in few lines', async (test) => {
  const state = stateWith((path) => {
    const at = (name: string): string => join(path, 'devices', `${name}.json`);
    const record = (digit: string): string => at(digit.repeat(16));
    spawnSync('mkfifo', [record('a')]);
    symlinkSync('/dev/zero', record('b'));
    symlinkSync(record('c'), record('c'));
    writeFileSync(record('d'), '');
    truncateSync(record('d'), 2 ** 34);
    mkdirSync(record('e'));
    for (let i = 0; i < 2000; i++) {
      writeFileSync(at(`flood${i}`), '{"version": 1}');
      writeFileSync(at(`${i}`.padStart(16, '0')), '{"version": 1}');
    }
  });
  const daemon = await DaemonProcess.start(test, [image, '--state', state]);
  const client = await RawNbdClient.open({ path: daemon.socketPath });
  test.ok((await client.read(7, 5000)).equals(raw.subarray(7, 5007)));
  await client.disconnect();
  test.equal((await new ControlClient(join(state, 'control.sock')).status()).devices.length, 0);
  test.equal(daemon.lines(/left alone|too many files/).length, 10, 'the first ones are named');
  test.equal(daemon.lines(/\d+ more like these/).length, 1, 'the others are counted');
  test.ok(daemon.log.length < 20_000, `a log of ${daemon.log.length} bytes`);
  await daemon.stop(test);
  const { code, stderr } = await runDaemon(['detach', '--all', '--state', state]);
  test.equal(code, 0);
  test.match(stderr, /left alone\n(?:.*\n)*.*: \d+ more like these\n$/);
  test.ok(stderr.split('\n').length < 15, 'detach --all reports few of them');
});

for (const [name, make] of [
  ['lock', (path: string) => spawnSync('mkfifo', [path])],
  ['lock', (path: string) => symlinkSync('/dev/zero', path)],
  ['control.sock', (path: string) => spawnSync('mkfifo', [path])],
  ['control.sock', (path: string) => symlinkSync('/nowhere/at/all', path)],
  ['control.sock', (path: string) => mkdirSync(path)],
] as const) {
  await t.test(`another kind of file at the place of ${name}`, async (test) => {
    const state = stateWith((path) => make(join(path, name)));
    const socket = `unix://${join(shortFolder(test), 'nbd.sock')}`;
    const { code, stderr } = await runDaemon(['serve', image, '--state', state, '-l', socket]);
    test.equal(code, 1);
    test.match(stderr, new RegExp(`${name}: `), 'the message names it');
    test.notMatch(stderr, /ready/);
  });
}
