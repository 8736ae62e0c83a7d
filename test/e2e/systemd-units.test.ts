// The units in systemd/: valid, hardened as docs/systemd.md says, with a filter that lets the daemon work; and the
// protocol of the service manager over a real datagram socket. Nothing here runs under systemd.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { SdNotify } from '../../daemon/server/sd-notify.js';
import { commandLine, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient, tick } from '../support/nbd-client.js';
import {
  comparePatiently,
  openPatiently,
  remoteImage,
  remoteOptions,
} from '../support/registry/remote-image.js';
import { listenAsManager } from '../support/service-manager.js';
import { requireTool, runTool } from '../support/tools.js';

t.setTimeout(900_000);

const UNITS = new URL('../../../systemd/', import.meta.url);
const folder = shortFolder(t);

/** The most exposure, of 10, that `systemd-analyze security` may report; docs/systemd.md has the scores. */
const MOST_EXPOSURE = {
  'overlaybd-nbd.service': 2,
  'overlaybd-nbd-attach-helper.service': 1.5,
  'overlaybd-nbd-attach@.service': 1,
  'overlaybd-nbd-shutdown.service': 1,
};

const unitNames = readdirSync(UNITS).filter((name) => /\.(service|socket)$/.test(name));
const textOf = (name: string) => readFileSync(new URL(name, UNITS), 'utf8');

await t.test('systemd-analyze verify finds no mistake in the units', async (test) => {
  if (!requireTool(test, 'systemd-analyze')) return;
  for (const name of unitNames) {
    // The program and the pages that are named may not be installed here.
    writeFileSync(
      join(folder, name),
      textOf(name).replaceAll('/usr/bin/overlaybd-nbd', '/bin/true'),
    );
  }
  const paths = unitNames.map((name) => join(folder, name.replace('@.', '@web.')));
  test.equal(paths.length, 6);
  const { code, stderr } = await runTool('systemd-analyze', ['verify', '--man=no', ...paths]);
  test.match({ code, stderr: stderr.trim() }, { code: 0, stderr: '' });
});

await t.test('systemd-analyze security finds no more exposure than documented', async (test) => {
  if (!requireTool(test, 'systemd-analyze')) return;
  const services = unitNames.filter((name) => name.endsWith('.service'));
  test.same(services.toSorted(), Object.keys(MOST_EXPOSURE).toSorted(), 'every service is judged');
  for (const [name, most] of Object.entries(MOST_EXPOSURE)) {
    const path = join(folder, name);
    writeFileSync(path, textOf(name));
    const { stdout, stderr } = await runTool('systemd-analyze', [
      'security',
      '--offline=true',
      '--no-pager',
      path,
    ]);
    const exposure = Number(/Overall exposure level for \S+: (\d+\.\d+)/.exec(stdout)?.[1]);
    test.ok(exposure <= most, `${name}: ${exposure}, at most ${most} ${stderr}`);
  }
});

await t.test('systemd-sysusers accepts the user', async (test) => {
  if (!requireTool(test, 'systemd-sysusers')) return;
  const path = new URL('overlaybd-nbd.sysusers.conf', UNITS).pathname;
  const root = `--root=${folder}`;
  const { code, stdout, stderr } = await runTool('systemd-sysusers', ['--dry-run', root, path]);
  test.equal(code, 0, stderr);
  test.match(stdout + stderr, /Creating user 'overlaybd-nbd'/);
});

await t.test('the filter of system calls lets the daemon work', async (test) => {
  if (!requireTool(test, 'systemd-analyze', 'strace')) return;
  const allowed = await allowedCalls(textOf('overlaybd-nbd.service'));
  test.ok(allowed.has('preadv2') && !allowed.has('mount') && !allowed.has('setuid'));
  const image = join(folder, 'raw.img');
  const raw = writeRaw(image, 5, 1_000_000);
  const path = join(folder, 'traced.sock');
  const calls = join(folder, 'calls');
  const {
    front,
    files,
    name: reference,
  } = await remoteImage(test, {
    files: { size: 2 << 20 },
  });
  const remote = [
    '-e',
    `remote=${reference}`,
    ...remoteOptions([front], join(folder, 'cache'), 60),
  ];
  const line = commandLine(['serve', image, '--listen', `unix://${path}`, ...remote]);
  const child = spawn('strace', ['-D', '-f', '-c', '-o', calls, ...line], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  test.teardown(() => child.kill('SIGKILL'));
  const log: string[] = [];
  child.stderr.on('data', (part: Buffer) => log.push(part.toString()));
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
  });
  await until(() => /ready: /.test(log.join('')), `the daemon is not ready: ${log.join('')}`);
  const client = await RawNbdClient.open({ path });
  test.ok((await client.read(100, 5000)).equals(raw.subarray(100, 5100)));
  await client.disconnect();
  const fetching = await openPatiently({ path }, 'remote');
  test.equal(await comparePatiently(fetching, files.device), null);
  await fetching.disconnect();
  child.kill('SIGTERM');
  test.equal(await ended, 0);
  const total = () => existsSync(calls) && / total$/m.test(readFileSync(calls, 'utf8'));
  await until(total, 'strace does not end');
  const made = callsMade(readFileSync(calls, 'utf8'));
  test.ok(made.includes('sendto') || made.includes('sendmsg'), 'the trace includes the reactors');
  test.same(
    made.filter((name) => !allowed.has(name)),
    [],
  );
});

for (const [title, name] of [
  ['a path', join(folder, 'notify.sock')],
  ['an abstract name', `@overlaybd-nbd-test-${process.pid}`],
] as const) {
  await t.test(`messages reach a service manager whose socket is ${title}`, async (test) => {
    const manager = await listenAsManager(test, name);
    if (!manager) return;
    const { received } = manager;
    const env = { NOTIFY_SOCKET: name, WATCHDOG_USEC: '60000000' };
    const notify = SdNotify.fromEnvironment(env, process.pid);
    test.ok(notify.ready('1 export, \u00e9'));
    notify.startWatchdog();
    notify.close();
    test.ok(notify.stopping());
    await until(() => received.length === 3, `received ${JSON.stringify(received)}`);
    test.same(received, ['READY=1\nSTATUS=1 export, \u00e9', 'WATCHDOG=1', 'STOPPING=1']);
    manager.end();
    await until(() => !notify.status('nobody is there'), 'a datagram without a receiver was sent');
  });
}

/** The names of the system calls that a unit's SystemCallFilter lines allow. */
async function allowedCalls(unit: string): Promise<Set<string>> {
  const allowed = new Set<string>();
  for (const [, deny, names = ''] of unit.matchAll(/^SystemCallFilter=(~?)(.*)$/gm)) {
    for (const name of names.split(' ')) {
      for (const call of await expand(name)) {
        if (deny) allowed.delete(call);
        else allowed.add(call);
      }
    }
  }
  for (const call of await expand('@default')) allowed.add(call);
  return allowed;
}

async function expand(name: string): Promise<string[]> {
  if (!name.startsWith('@')) return [name];
  const { stdout } = await runTool('systemd-analyze', ['--no-pager', 'syscall-filter', name]);
  const members = stdout.split('\n').flatMap((line) => /^ +(@?[\w-]+)$/.exec(line)?.[1] ?? []);
  return (await Promise.all(members.map(expand))).flat();
}

/** From strace's table: the last word of each row. */
function callsMade(table: string): string[] {
  return table
    .split('\n')
    .flatMap((line) => /^ *\d[\d.]* .* (\w+)$/.exec(line)?.[1] ?? [])
    .filter((name) => name !== 'total');
}

async function until(condition: () => boolean, otherwise: string): Promise<void> {
  for (let i = 0; i < 6000 && !condition(); i++) await tick(20);
  if (!condition()) throw new Error(otherwise);
}
