// `npm start`: makes the demo image and runs the real daemon on it.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeDemoImage, type DemoImage } from './demo-image.js';
import { demoClients, listenAddress } from './demo-clients.js';
import { removeDemo, serverOf } from './demo-folder.js';
import { PROGRAM } from './program.js';

const DEFAULT_LISTEN = 'tcp://127.0.0.1:10809';
/** Milliseconds within which two signals count as one: Ctrl+C reaches this process from the terminal and from npm. */
const SAME_SIGNAL = 500;

/** Milliseconds between two looks at a daemon that is no child of this process. */
const LOOK = 200;

const folder = realpathSync(mkdtempSync(join(tmpdir(), 'overlaybd-nbd-demo-')));
process.once('exit', () => {
  const problem = removeDemo(folder, readFileSync('/proc/self/mountinfo', 'utf8'));
  if (problem === null) return;
  console.error(`demo: ${problem}`);
  process.exitCode = 1;
});

const given = process.argv.slice(2);
const listen = listenAddress(given);
describe(writeDemoImage(folder), listen ?? DEFAULT_LISTEN);
serve(join(folder, 'config.v1.json'), listen ? given : [...given, '--listen', DEFAULT_LISTEN]);

function describe(image: DemoImage, address: string): void {
  const [bottom, top] = image.layers;
  const lines = [
    `Made a demo image of ${image.virtualSize >> 20} MiB in ${folder}:`,
    `  layer 0  ${bottom?.file}  ${bottom?.size} bytes: ${bottom?.about}`,
    `  layer 1  ${top?.file}  ${top?.size} bytes: ${top?.about}`,
    `Serving the two as one read-only NBD export at ${address}. Look at it with one of`,
    ...demoClients(address).map((command) => `  ${command}`),
    'Ctrl+C stops the daemon and removes the folder. Another address: npm start -- --listen tcp://127.0.0.1:10810',
    '',
  ];
  console.log(lines.join('\n'));
}

function serve(config: string, args: readonly string[]): void {
  // In its own process group, so that it gets the signals of a terminal once, from this process.
  const child = spawn(process.execPath, [PROGRAM, 'serve', config, ...args], {
    stdio: 'inherit',
    detached: true,
  });
  let last = 0;
  let running = child.pid;
  let asked: { readonly signal: NodeJS.Signals; readonly pid: number | undefined } | null = null;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      const now = performance.now();
      if (now - last > SAME_SIGNAL || last === 0) {
        asked = { signal, pid: running };
        send(running, signal);
      }
      last = now;
    });
  }
  child.once('error', (error) => {
    console.error(`demo: cannot start the daemon: ${error.message}`);
    process.exitCode = 1;
  });
  child.once('exit', (code, signal) => {
    process.exitCode = signal ? 128 + constants.signals[signal] : (code ?? 1);
    // An upgrade has replaced it.
    const look = (): void => {
      running = serverOf(config) ?? undefined;
      if (running === undefined) return;
      // It went to the old one, which was about to end.
      if (asked && asked.pid !== running) {
        asked = { ...asked, pid: running };
        send(running, asked.signal);
      }
      setTimeout(look, LOOK);
    };
    look();
  });
}

function send(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(pid, signal);
  } catch {
    // It has just ended.
  }
}
