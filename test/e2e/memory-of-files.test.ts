// What a daemon takes more for an image of 100,000 files than for one of ten, once both are open: the memory that all threads
// share, and not what the thread had that opened it. test/component/image/memory-of-files.test.ts counts the former alone.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { MANY_FILES, type MakeFiles } from '../support/many-files.js';

const MANY = 100_000;
const FEW = 10;
/** 9 to 13 MiB are shared. Without an end of what the opener has freed, it was 42 to 46 MiB. */
const MOST_MIB = 25;
/** The collector and the threads of V8 need a moment after an opening, and this machine may be busy. */
const SETTLE_MS = 120_000;
const TICK_MS = 200;

for (const format of ['zstd:chunked', 'RAFS'] as const) {
  await test(`100,000 files, ${format}: at most ${MOST_MIB} MiB more than with ten`, async (t) => {
    const [few, many] = await Promise.all([
      start(t, MANY_FILES[format], FEW),
      start(t, MANY_FILES[format], MANY),
    ]);
    const deadline = performance.now() + SETTLE_MS;
    let more = anonymousMiB(many) - anonymousMiB(few);
    while (more > MOST_MIB && performance.now() < deadline) {
      await pause(TICK_MS);
      more = anonymousMiB(many) - anonymousMiB(few);
    }
    t.ok(more > 1, 'both are counted');
    t.ok(more <= MOST_MIB, `${more.toFixed(1)} MiB`);
    await Promise.all([few.stop(t), many.stop(t)]);
  });
}

async function start(t: Test, make: MakeFiles, count: number): Promise<DaemonProcess> {
  const folder = join(shortFolder(t), 'layer');
  mkdirSync(folder);
  const { files, beside } = make(count);
  const paths = Object.entries(files).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  });
  const { blobs } = beside?.(folder) ?? {};
  const options = blobs === undefined ? [] : ['--blobs', blobs];
  return DaemonProcess.start(t, [paths[0] as string, ...options]);
}

/** Resident, and not pages of files: how much of the program is in memory depends on the machine. */
function anonymousMiB({ child }: DaemonProcess): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  const kib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]);
  return (kib('RssAnon') + kib('RssShmem')) / 1024;
}
