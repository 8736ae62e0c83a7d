// The tested kernel: its module, its log, its caches. device.ts has what it shows of a device.
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';

/** Devices: as many as the module makes by default. */
export const DEVICES = 16;
/** Seconds that a task may wait for a device before the kernel reports it. */
const HUNG_AFTER = 60;

/** @param ours whether its settings may be changed, because it is discarded afterwards */
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

/** Drops caches, so that the next read comes from the device. */
export function dropCaches(): void {
  if (existsSync('/proc/sys/vm/drop_caches')) writeFileSync('/proc/sys/vm/drop_caches', '3');
}

/** The kernel's log lines since this object was made. */
export class KernelLog {
  readonly #before = kernelLines().length;

  lines(): string[] {
    return kernelLines().slice(this.#before);
  }

  /** Lines about hung tasks or kernel bugs. */
  troubles(): string[] {
    return this.lines().filter((line) =>
      /blocked for more than|BUG:|WARNING:|Oops|general protection/.test(line),
    );
  }

  /** Lines about failed reads. */
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
