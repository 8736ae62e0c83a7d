// The kernel that is tested: its module, its log, its caches. What it says of a device is in device.ts.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';

/** Devices: as many as the module makes by itself. */
export const DEVICES = 16;
/** Seconds that a task may sleep on a device before the kernel complains. */
const HUNG_AFTER = 60;

/** @param ours whether it may be changed: a throw-away one */
export function prepareKernel(ours: boolean): void {
  if (!ours) return;
  loadModule();
  writeFileSync('/proc/sys/kernel/hung_task_timeout_secs', `${HUNG_AFTER}`);
}

export function loadModule(): void {
  run('modprobe', 'nbd', `nbds_max=${DEVICES}`);
}

export function unloadModule(): void {
  run('modprobe', '-r', 'nbd');
}

/** So that what is read next comes from the device. */
export function dropCaches(): void {
  if (existsSync('/proc/sys/vm/drop_caches')) writeFileSync('/proc/sys/vm/drop_caches', '3');
}

/** What the kernel has logged since this was made. */
export class KernelLog {
  readonly #before = kernelLines().length;

  lines(): string[] {
    return kernelLines().slice(this.#before);
  }

  /** Signs that a task hung, or that the kernel is hurt. */
  troubles(): string[] {
    return this.lines().filter((line) =>
      /blocked for more than|BUG:|WARNING:|Oops|general protection/.test(line),
    );
  }

  /** Reads that failed. */
  errors(): string[] {
    return this.lines().filter((line) =>
      /I\/O error|EXT4-fs error|XFS.*error|SQUASHFS error|erofs.*(err|fail)/i.test(line),
    );
  }
}

/** The kernel's log, as far as it keeps it. */
export function kernelLines(): string[] {
  return run('dmesg').split('\n').filter(Boolean);
}

function run(program: string, ...args: string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')}: exit ${status}: ${error?.message ?? stderr}`);
}
