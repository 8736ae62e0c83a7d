// `overlaybd-nbd verify` as a program, and its results for every golden fixture.
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { verifyImage, type VerifyReport } from '../../daemon/inspect/verify-image.js';
import { writeDemoImage } from '../support/demo-image.js';
import { fixtureNames, fixturesRoot } from '../support/fixtures.js';
import { writeLsmt } from '../support/lsmt-writer.js';
import { randomBytes } from '../support/pattern.js';
import { writeZfile } from '../support/zfile-writer.js';
import { findTool, runTool, type ToolResult } from '../support/tools.js';
import { PROGRAM } from '../support/program.js';

const verify = (...args: string[]): Promise<ToolResult> =>
  runTool(process.execPath, [PROGRAM, 'verify', ...args]);

await t.test('verify of a good image', async (test) => {
  const { config } = writeDemoImage(test.testdir());
  const text = await verify(config);
  test.equal(text.code, 0);
  test.match(text.stdout, /^\/.*config\.v1\.json: good: 2 layers; [^\n]* checked in [^\n]*\n$/);
  test.equal(text.stderr, '', 'no progress bar, because stderr is not a terminal');
  const json = await verify('--json', config);
  test.equal(json.code, 0);
  test.match(JSON.parse(json.stdout), { good: true, problemCount: 0, problems: [] });
});

await t.test('verify of a bad image', async (test) => {
  const folder = test.testdir();
  const { config } = writeDemoImage(folder);
  const blob = join(folder, 'layer1.obd');
  const bytes = readFileSync(blob);
  bytes[600] = (bytes[600] ?? 0) ^ 1;
  writeFileSync(blob, bytes);
  const text = await verify(config);
  test.equal(text.code, 1);
  test.equal(text.stderr, '');
  const [problem, summary, end] = text.stdout.split('\n');
  test.match(
    problem,
    /layer1\.obd \(zfile\): block 0 at byte 512: expected checksum 0x\S+, got 0x/,
  );
  test.match(summary, /config\.v1\.json: bad: 1 problem in 1 of 2 layers; /);
  test.equal(end, '');
  const json = await verify('--json', config);
  test.equal(json.code, 1);
  test.match(JSON.parse(json.stdout), {
    good: false,
    problemCount: 1,
    problems: [{ layer: 1, code: 'BAD_CHECKSUM', message: problem as string }],
    layers: [{ problemCount: 0 }, { problemCount: 1 }],
  });
});

await t.test('every line names a file by the same path', async (test) => {
  const folder = test.testdir({ empty: '' });
  const { stdout } = await runTool('env', [
    '-C',
    folder,
    process.execPath,
    PROGRAM,
    'verify',
    'empty',
  ]);
  test.match(stdout, /^\/.*\/empty: empty\n\/.*\/empty: bad: 1 problem;/);
});

await t.test('other exit codes of verify', async (test) => {
  test.match(await verify(join(test.testdir(), 'no')), {
    code: 1,
    stdout: /no: ENOENT.*\n.*bad: /,
  });
  const broken = join(test.testdirName, 'config.v1.json');
  writeFileSync(broken, '{"lowers": 7}');
  test.match(await verify(broken), { code: 1, stdout: /config\.v1\.json: lowers: / });
  test.match(await verify(), { code: 2, stdout: '' });
  test.match(await verify('--what', 'x'), { code: 2, stdout: '' });
  test.match(await verify('--help'), { code: 0, stdout: /Exit codes: 0 no problem/ });
});

await t.test('Ctrl-C interrupts verify', async (test) => {
  // Files of their own, because one that is named twice is checked once. To decode all takes some seconds.
  const folder = test.testdir();
  const size = 32 << 20;
  const data = randomBytes(1, size);
  for (let at = 0; at < size; at += 16) data.fill(7, at, at + 8);
  const segments = [{ offset: 0, length: size / 512, data }];
  const layer = writeZfile(writeLsmt({ virtualSize: size, segments }), { algorithm: 'zstd' });
  const lowers = Array.from({ length: 50 }, (_, i) => ({ file: join(folder, `${i}.obd`) }));
  for (const { file } of lowers) writeFileSync(file, layer);
  const path = join(folder, 'large.json');
  writeFileSync(path, JSON.stringify({ lowers }));
  // On a busy machine it may no longer handle the signal, or still open the layers: then it is tried again.
  let [code, out]: [number | null, string] = [0, ''];
  for (let i = 0; i < 20 && (code !== 1 || !out.includes('GiB')); i++) {
    [code, out] = await interrupted(path);
  }
  test.equal(code, 1);
  test.match(out, /large\.json: interrupted: no problem so far; .* of 1\.6 GiB checked in /);
});

/** @returns exit code and output of a check that gets SIGINT while it reads */
async function interrupted(path: string): Promise<[number | null, string]> {
  const child = spawn(process.execPath, [PROGRAM, 'verify', path]);
  let out = '';
  child.stdout.on('data', (part: Buffer) => (out += part.toString()));
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  // A signal before the handler is set, or a second one, has its default effect.
  while (child.exitCode === null && !isReading(child.pid)) await setTimeout(2);
  // It is stopped before it gets the signal, and then has at most 40 ms to work.
  child.kill('SIGSTOP');
  child.kill('SIGINT');
  child.kill('SIGCONT');
  return [await ended, out];
}

/** Whether the process has read more than its own program, which it does only after it handles signals. */
function isReading(pid: number | undefined): boolean {
  const read = /rchar: (\d+)/.exec(readFileSync(`/proc/${pid}/io`, 'latin1'));
  return Number(read?.[1] ?? 0) > 32 * 2 ** 20;
}

const root = fixturesRoot();
const absent =
  root === null && 'FIXTURES NOT FOUND: neither ../shared/fixtures nor $OVERLAYBD_FIXTURES';
if (absent !== false) t.comment(absent);

/** What is wrong with each of them; `neg-04` is wrong for the reference only. */
const PROBLEMS: Readonly<Record<string, readonly RegExp[]>> = {
  'neg-l01-zeroed-moffset0': [/layer1\.obd: lsmt index entry 1 moffset \(zeroed\) at byte 8728/],
  'neg-l02-unsorted': [/layer1\.obd: lsmt index entry 1 offset at byte 8720/],
  'neg-l04-data-past-index': [/layer1\.obd: lsmt index entry 2 moffset at byte 8744/],
  'neg-l05-trailer-unsealed': [/layer1\.obd: lsmt trailer flags at byte 12828/],
  'neg-l07-index-too-big': [/layer1\.obd: lsmt index size/],
  'neg-r02-data-truncated': [/upper\.index: lsmt index entry 3 moffset at byte 4152/],
  'neg-z01-crc-flip': [/layer0\.obd \(zfile\): block 2 at byte 1906: expected checksum/],
  'neg-z02-header-digest': [/layer0\.obd: zfile header digest at byte 28/],
  'neg-z04-trailer-zero-trailer-mode': [/layer0\.obd: zfile trailer magic at byte 25177/],
  'neg-z06-tail-garbage-trailer-mode': [/layer0\.obd: zfile trailer magic at byte 29273/],
  'neg-z10-bs12288': [/layer0\.obd: zfile block size at byte 23731/],
};

await t.test('verify of the golden fixtures', { skip: absent }, async (test) => {
  for (const name of fixtureNames(root ?? '')) {
    await test.test(name, (each) => checkFixture(each, name, join(root ?? '', name)));
  }
});

await t.test('verify of the golden fixtures, as a program', { skip: absent }, async (test) => {
  const bad = await verify(join(root ?? '', 'neg-z01-crc-flip', 'config.v1.json'));
  test.match(bad, { code: 1, stdout: /block 2 at byte 1906.*\n.*bad: 1 problem; / });
  const odd = await verify(join(root ?? '', 'odd-z08-no-digest-flag', 'config.v1.json'));
  test.match(odd, { code: 0, stdout: /good: 1 layer; / });
});

/** In this process: about sixty programs would take a minute to start. */
async function checkFixture(test: Test, name: string, folder: string): Promise<void> {
  const unpacked = unpackHoles(folder, () => test.testdir());
  if (unpacked && findTool('tar') === null) {
    test.pass(name, { skip: 'NOT TESTED, not installed: tar' });
    return;
  }
  const config = join((await unpacked) ?? folder, 'config.v1.json');
  const report: VerifyReport = await verifyImage([config], {
    signal: new AbortController().signal,
    progress: () => undefined,
  });
  const messages = report.problems.map(({ message }) => message);
  if (name in PROBLEMS) {
    test.equal(report.good, false);
    test.match(messages, PROBLEMS[name]);
    test.equal(messages.length, PROBLEMS[name]?.length);
  } else {
    test.same(messages, []);
    test.equal(report.good, true);
    test.equal(report.checkedBytes, report.totalBytes);
    test.ok(report.totalBytes > 0);
  }
}

/** In this folder sparse uppers have lost their holes. @returns null if there is none */
function unpackHoles(folder: string, makeFolder: () => string): Promise<string> | null {
  const tar = 'upper.data.sparse.tar';
  if (!existsSync(join(folder, tar))) return null;
  const copy = makeFolder();
  for (const file of readdirSync(folder)) {
    if (file !== 'upper.data') copyFileSync(join(folder, file), join(copy, file));
  }
  return runTool('tar', ['-xSf', join(copy, tar), '-C', copy]).then(({ code, stderr }) => {
    if (code !== 0) throw new Error(`${tar}: ${stderr}`);
    return copy;
  });
}
