// Readers that never stop: fio, which knows the checksum of every block, and a walk through a mounted tree. Both count
// what they have verified, and fail at the first wrong byte or error.
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { attribute } from './device.js';
import type { World } from './world.js';

export interface LoadResult {
  /** '' if every byte was right. */
  problem: string;
  verifiedBytes: number;
}

export interface Load {
  /** Runs until `stop`, or ends itself after a failure. */
  readonly running: boolean;
  stop(): Promise<LoadResult>;
}

/** Random reads of 4 KiB without the page cache; each block must have its own place and checksum. */
export function startFio(device: string, size: number): Load {
  const job = [
    '--name=verify',
    `--filename=${device}`,
    '--readonly',
    '--direct=1',
    '--rw=randread',
  ];
  const verify = ['--bs=4k', `--size=${size}`, '--verify=crc32c', '--verify_fatal=1'];
  const many = ['--ioengine=psync', '--thread', '--numjobs=2', '--group_reporting'];
  const endless = ['--time_based', '--runtime=3600', '--output-format=json'];
  const child = spawn('fio', [...job, ...verify, ...many, ...endless], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = outputOf(child);
  return {
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    async stop() {
      const early = !this.running;
      child.kill('SIGINT');
      const { out, err } = await ended;
      const [, bytes] = /"io_bytes" : (\d+)/.exec(out) ?? [];
      const [, error] = /"error" : (\d+)/.exec(out) ?? [];
      // After a signal it ends with 128.
      const good = !early && bytes !== undefined && error === '0' && !/fail|bad/.test(err);
      return { problem: good ? '' : `fio: ${err}${out}`, verifiedBytes: Number(bytes ?? 0) };
    },
  };
}

/** Reads all files repeatedly, each from the device. */
export function startWalk(root: string, { folder, images }: World): Load {
  const stopFile = join(folder, 'stop');
  rmSync(stopFile, { force: true });
  const script = `
    while [ ! -e "$1" ]; do
      echo 3 >/proc/sys/vm/drop_caches
      stdbuf -oL sha256sum --check "$2" || exit 1
    done`;
  const child = spawn('bash', ['-c', script, 'walk', stopFile, join(folder, 'tree.sha256')], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = outputOf(child);
  return {
    get running() {
      return child.exitCode === null && child.signalCode === null;
    },
    async stop() {
      writeFileSync(stopFile, '');
      const { code, out, err } = await ended;
      const lines = out.trim().split('\n');
      const wrong = lines.filter((line) => !line.endsWith(': OK'));
      const good = code === 0 && wrong.length === 0 && err === '';
      const sizes = lines.map((line) => images.tree.sizes[line.replace(/: OK$/, '')] ?? 0);
      return {
        problem: good ? '' : `exit ${code}: ${err}${wrong.join('\n')}`,
        verifiedBytes: sizes.reduce((sum, size) => sum + size, 0),
      };
    },
  };
}

interface Output {
  code: number | null;
  out: string;
  err: string;
}

function outputOf(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Output> {
  const result: Output = { code: null, out: '', err: '' };
  child.stdout.on('data', (part: Buffer) => (result.out += part.toString()));
  child.stderr.on('data', (part: Buffer) => (result.err += part.toString()));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ ...result, code });
    });
  });
}

/** Watches the progress of a device's reads. */
export class Progress {
  readonly #device: string;
  readonly #timer: NodeJS.Timeout;
  #last = 0;
  #lastChange = performance.now();
  #longest = 0;

  constructor(device: string) {
    this.#device = device;
    this.#last = this.reads;
    this.#timer = setInterval(() => this.#look(), 50);
  }

  /** Reads that the kernel has completed since the device was connected. */
  get reads(): number {
    return Number(attribute(this.#device, 'stat').split(/\s+/)[0]);
  }

  /** The longest time without a completed read since the last call, in seconds. */
  takeLongestStall(): number {
    this.#look();
    const longest = this.#longest;
    this.#longest = 0;
    return longest;
  }

  /** Waits for this many more reads. @throws Error if they do not come */
  async more(count: number, seconds = 60): Promise<void> {
    const wanted = this.reads + count;
    const deadline = performance.now() + seconds * 1000;
    while (this.reads < wanted) {
      if (performance.now() > deadline) {
        throw new Error(`${this.reads} of ${wanted} reads after ${seconds} s`);
      }
      await pause(25);
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const { reads } = this;
    this.#longest = Math.max(this.#longest, (now - this.#lastChange) / 1000);
    if (reads === this.#last) return;
    this.#last = reads;
    this.#lastChange = now;
  }
}
