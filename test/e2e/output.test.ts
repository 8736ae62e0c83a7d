// The output of commands is complete on any standard output: slow, nonblocking, full, or closed. Bytes from outside
// never reach a terminal unescaped.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { COMMANDS } from '../../daemon/cli/commands.js';
import { DaemonProcess, commandLine, runDaemon, shortFolder } from '../support/daemon-process.js';
import { socketOf, waitForControl } from '../support/control.js';
import { HOSTILE_TEXT, RAW } from '../support/hostile-text.js';
import { writeLsmt } from '../support/lsmt-writer.js';
import { textBytes } from '../support/pattern.js';
import { measured } from '../support/program.js';

t.setTimeout(900_000);

const PIPE_SIZE = 64 * 1024;
const SECTOR = 512;

const folder = shortFolder(t);
const layers = Array.from({ length: 120 }, (_, i) => {
  const path = join(folder, `layer${i}.obd`);
  const data = textBytes(i, 3 * SECTOR);
  writeFileSync(
    path,
    writeLsmt({ virtualSize: 1 << 20, segments: [{ offset: i, length: 3, data }] }),
  );
  return path;
});
const [layer = ''] = layers;
const state = join(folder, 'state');
const exports = Array.from({ length: 700 }, (_, i) => ['-e', `export number ${i}=${layer}`]).flat();
const daemon = await DaemonProcess.start(t, [...exports, '--state', state]);
await waitForControl(socketOf(state));

const printing: readonly (readonly string[])[] = [
  ['inspect', ...layers],
  ['inspect', '--json', ...layers],
  ['verify', layer],
  ['verify', '--json', ...layers],
  ['status', '--state', state],
  ['status', '--json', '--state', state],
  ['--help'],
  ['--version'],
];
const helps = COMMANDS.map(({ usage }) => [usage.split(' ')[0] ?? '', '--help']);

function shown(args: readonly string[]): string {
  return args.slice(0, 2).join(' ');
}

interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program, optionally in a line of shell with "$@"; `read` reads its output. */
async function run(
  args: readonly string[],
  shell = 'exec "$@"',
  stdout: number | 'pipe' = 'pipe',
): Promise<Ended> {
  const line = ['-c', shell, 'sh', ...commandLine(args)];
  const child = spawn('sh', line, { stdio: ['ignore', stdout, 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout?.on('data', (bytes: Buffer) => (out += bytes.toString()));
  child.stderr?.on('data', (bytes: Buffer) => (err += bytes.toString()));
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    child.once('close', (...how) => resolve(how));
  });
  return { code, signal, stdout: out, stderr: err };
}

/** Removes the time and the measured values, in which two runs may differ. */
function same(text: string): string {
  return text.replaceAll(/checked in .*|"seconds": .*/g, '');
}

const whole = new Map<readonly string[], string>();

await t.test('output to a file is complete', async (test) => {
  for (const args of [...printing, ...helps]) {
    const path = join(folder, 'out');
    const { code, stderr } = await run(args, 'exec "$@"', openSync(path, 'w'));
    test.same({ code, stderr }, { code: 0, stderr: '' }, shown(args));
    whole.set(args, same(readFileSync(path, 'utf8')));
  }
  test.ok(long().length >= 3, 'more than a pipe holds');
});

/** Commands that must wait for a reader, because a pipe does not hold all that they print. */
function long(): readonly (readonly string[])[] {
  return printing.filter((args) => (whole.get(args)?.length ?? 0) > PIPE_SIZE);
}

/** The same, and the shortest output. */
function ofBothLengths(): readonly (readonly string[])[] {
  return [...long(), ...printing.filter(([word]) => word === '--version')];
}

await t.test('output to a slow reader is complete', async (test) => {
  const runs = ofBothLengths().map(async (args) => {
    const { stdout, stderr } = await run(args, '"$@" | { sleep 0.7; cat; }');
    test.same({ out: same(stdout), stderr }, { out: whole.get(args), stderr: '' }, shown(args));
  });
  await Promise.all(runs);
});

await t.test('output to a nonblocking pipe is complete', async (test) => {
  const runs = ofBothLengths().map(async (args) => {
    // Node.js makes the pipe at standard error nonblocking, and both are one pipe.
    const { stdout } = await run(args, '"$@" 2>&1 | { sleep 0.3; cat; }');
    test.equal(same(stdout), whole.get(args), shown(args));
  });
  await Promise.all(runs);
});

await t.test('output to a full disk is an error', async (test) => {
  for (const args of printing) {
    const { code, stderr } = await run(args, 'exec "$@" > /dev/full');
    test.equal(code, 1, shown(args));
    test.equal(
      stderr,
      'overlaybd-nbd: standard output: write error: No space left on device\n',
      shown(args),
    );
  }
});

const coverage =
  measured && 'NOT TESTED: coverage is written to files as well, which the limit ends';
await t.test('output to a file with a size limit is an error', { skip: coverage }, async (test) => {
  for (const args of long()) {
    const path = join(folder, 'part');
    const limited = `trap '' XFSZ; ulimit -f 16; exec "$@" > ${path}`;
    const { code, stderr } = await run(args, limited);
    test.equal(code, 1, shown(args));
    test.equal(
      stderr,
      'overlaybd-nbd: standard output: write error: File too large\n',
      shown(args),
    );
    test.ok(statSync(path).size > 0);
  }
});

await t.test('a reader that has closed the pipe: no error message', async (test) => {
  for (const args of printing) {
    const { stderr } = await run(args, '{ sleep 0.2; exec "$@"; } | true');
    test.equal(stderr, '', shown(args));
  }
});

await t.test('an upgrade is reported even if its result cannot be printed', async (test) => {
  const own = join(shortFolder(test), 'state');
  const old = await DaemonProcess.start(test, [layer, '--state', own]);
  await waitForControl(socketOf(own));
  const { code, stderr } = await run(['upgrade', '--state', own], 'exec "$@" > /dev/full');
  test.equal(code, 1);
  const [, pid] =
    /^overlaybd-nbd: standard output: write error: No space left on device; process (\d+) has taken over\n$/.exec(
      stderr,
    ) ?? [];
  test.ok(pid, stderr);
  await old.waitForLines(/info: stopped/);
  process.kill(Number(pid), 'SIGTERM');
  await old.waitForLines(/info: stopped/, 2);
});

/** No line may have characters that a terminal interprets. */
function checkClean(test: Test, text: string, what: string): void {
  const raw = text.split('\n').filter((line) => RAW.test(line));
  test.same(raw, [], `${what}: no raw characters`);
}

/** Each command gets each fourth name, and each name a fourth of the commands: all share the code that escapes. */
const SHARE = 4;
/** Commands that succeed: each name gets one of them. */
const SHOWING: readonly (readonly string[])[] = [['inspect'], ['inspect', '--json'], ['verify']];

for (const [turn, [what, text]] of Object.entries(HOSTILE_TEXT).entries()) {
  await t.test(`a name with ${what}`, async (test) => {
    // The system's functions for paths end at NUL, and Node.js refuses it.
    const name = text.replaceAll(/[\0/]/g, '');
    const path = join(folder, name);
    mkdirSync(path, { recursive: true });
    const image = join(path, `${name}.obd`);
    writeFileSync(image, writeLsmt({ virtualSize: 1 << 20, userTag: 'x\x1b[31m', segments: [] }));
    const wrong: (readonly string[])[] = [
      ['inspect', join(path, 'missing')],
      ['verify', join(path, 'missing')],
      ['serve', layer, '-l', `unix://${join(path, 'no', 'such')}`],
      ['serve', layer, '-l', name],
      ['serve', layer, '--config', join(path, 'missing')],
      ['serve', '-e', name],
      ['serve', layer, '--tls', name],
      ['serve', layer, '--allow-user', name, '-l', `unix://${path}/s`],
      ['status', '--state', join(path, 'missing')],
      ['attach', name, '--state', path],
      ['detach', name, '--state', path],
      ['mount', layer, join(path, 'missing')],
      ['mount', layer, path, '-o', name],
      ['umount', join(path, 'missing')],
      [name],
      ['status', `--${name}`],
    ];
    const runs = wrong.map(async (args, i) => {
      if ((i + turn) % SHARE !== 0) return;
      // Without the name itself, which would be hostile to the lines of the test report too.
      const which = `command ${i}`;
      const { code, stderr, stdout } = await runDaemon(args);
      test.ok(code === 1 || code === 2, `${which}: ${code}`);
      checkClean(test, stderr + stdout, which);
      const count = stderr.split('\n').length - 1;
      // Lines that were logged before it, the message, and where to find help; for `verify` the report.
      test.ok(count <= (args[0] === 'serve' ? 3 : 2), `${which}: ${count} lines`);
    });
    await Promise.all(runs);
    const args = SHOWING[turn % SHOWING.length] ?? [];
    const { code, stdout } = await runDaemon([...args, image]);
    test.equal(code, 0);
    checkClean(test, stdout, args.join(' '));
  });
}

await t.test('hostile names in `status`', async (test) => {
  const own = join(shortFolder(test), 'state');
  const named = Object.values(HOSTILE_TEXT).map((text) => text.replaceAll(/[\0=/]/g, ''));
  const options = named.flatMap((name) => ['-e', `${name}=${join(folder, name, `${name}.obd`)}`]);
  const other = await DaemonProcess.start(test, [...options, '--state', own]);
  await waitForControl(socketOf(own));
  checkClean(test, (await runDaemon(['status', '--state', own])).stdout, 'status');
  checkClean(test, (await runDaemon(['status', '--json', '--state', own])).stdout, 'status --json');
  checkClean(test, other.log, 'log');
  await other.stop(test);
});

await t.test('the daemon with many exports', async (test) => {
  await daemon.stop(test);
});
