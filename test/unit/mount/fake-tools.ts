// A machine that only remembers what is mounted, for the tests of `mount` and `umount`. It imitates programs by their
// command lines, and each can be made to fail.
import { writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ReadAt } from '../../../daemon/mount/filesystem.js';
import type { ReadableDevice } from '../../../daemon/mount/mount-device.js';
import type { MountEntry } from '../../../daemon/mount/mountinfo.js';
import type { UmountTools } from '../../../daemon/mount/umount.js';
import type { Programs, RunResult } from '../../../daemon/mount/programs.js';

/** The fsid of the btrfs. */
export const FSID = '00010203-0405-0607-0809-0a0b0c0d0e0f';

/** The superblock of an ext4 as far as it is read, or that of an xfs. */
export function deviceOf(type: 'ext4' | 'xfs' | 'btrfs' | 'zeros'): ReadAt {
  const head = Buffer.alloc(72 * 1024);
  if (type === 'ext4') {
    head.writeUInt16LE(0xef53, 1024 + 56);
    head.writeUInt32LE(16, 1024);
    head.writeUInt32LE(64, 1024 + 4);
  } else if (type === 'xfs') {
    head.write('XFSB', 0, 'latin1');
    head.writeUInt32BE(4096, 4);
    head.writeUInt16BE(5, 100);
    head.writeUInt16BE(512, 102);
  } else if (type === 'btrfs') {
    const at = 64 * 1024;
    head.write('_BHRfS_M', at + 64, 'latin1');
    head.write(FSID.replaceAll('-', ''), at + 32, 'hex');
    head.writeBigUInt64LE(BigInt(at), at + 48);
    head.writeBigUInt64LE(1n, at + 136);
    head.writeUInt32LE(4096, at + 144);
  }
  return async (offset, length) => head.subarray(offset, offset + length);
}

export class FakeMachine {
  /** The actions in order: "mount -t ext4 ...", "attach", ... */
  readonly calls: string[] = [];
  readonly table: MountEntry[] = [];
  /** Program names with their messages: these programs fail. */
  readonly failing = new Map<string, string>();
  readonly missing = new Set<string>();
  /** Called before each program. */
  before: (name: string) => void = () => undefined;
  attached = 0;
  /** The device's block size. */
  blockSize = 512;
  /** Whether the kernel detaches the device with its last mount. */
  letsGo = false;
  running = 0;
  #end: ((how: string) => void) | null = null;
  #nextId = 100;
  /** The file of an nbdfuse that was unmounted lazily: the process ends when no file system uses it. */
  #lazyFile: string | null = null;

  readonly programs: Programs = {
    find: async (...names) => {
      const name = names.find((each) => !this.missing.has(each));
      return name === undefined ? null : `/bin/${name}`;
    },
    run: async (path, args) => this.#run(path.slice('/bin/'.length), args),
    start: (path, args) => {
      const name = path.slice('/bin/'.length);
      this.calls.push([name, ...args].join(' '));
      const ended = new Promise<string>((resolve) => {
        this.#end = resolve;
      });
      this.running++;
      if (this.failing.has(name)) this.#stop('exit code 1');
      else {
        const [pidFile = '', file = ''] = args.slice(args.indexOf('-P') + 1);
        this.mounted(dirname(file), 'fuse.nbdfuse', 'overlaybd-nbd');
        // A process id that does not exist, so that the caller waits for no process.
        writeFileSync(pidFile, '999999999\n');
      }
      return { pid: 999999999, ended, kill: (signal) => this.#stop(signal) };
    },
  };

  readonly mounts = async (): Promise<readonly MountEntry[]> => [...this.table];

  readonly attach = async (): Promise<ReadableDevice> => {
    this.#step('attach');
    this.attached++;
    return { device: '/dev/nbd7', blockSize: this.blockSize };
  };

  readonly detachOnClose = async (device: string): Promise<void> => {
    this.#step('detach-on-close', device);
    this.letsGo = true;
  };

  readonly detach = async (device: string, onClose = false): Promise<void> => {
    this.#step(onClose ? 'detach-on-close' : 'detach', device);
    this.attached--;
  };

  /** The tools for `umount`. */
  tools({ isOurs = false, uid = process.geteuid?.() ?? 0 } = {}): UmountTools {
    const { programs, mounts, detach } = this;
    const isGone = async (): Promise<boolean> => this.attached === 0;
    return { programs, mounts, detach, isOurs: async () => isOurs, isGone, uid };
  }

  mounted(mountPoint: string, type: string, source: string, device = '0:50'): void {
    const id = this.#nextId++;
    this.table.push({
      id,
      parent: 1,
      device,
      mountPoint,
      type,
      source,
      peerGroup: 1,
      isSlave: false,
    });
  }

  #step(name: string, ...args: string[]): void {
    this.before(name);
    this.calls.push([name, ...args].join(' '));
    const words = this.failing.get(name);
    if (words !== undefined) throw new Error(words);
  }

  #run(name: string, args: readonly string[]): RunResult {
    try {
      this.#step(name, ...args);
    } catch (error) {
      return { code: 32, output: (error as Error).message };
    }
    const [source = '', dir = ''] = args.slice(-2);
    if (name === 'mount') this.mounted(dir, args[1] ?? '', source, '43:224');
    else if (name === 'fuse2fs') this.mounted(dir, 'fuse.ext4', source);
    else this.#unmounted(dir === '' ? source : dir, args.includes('-z'));
    return { code: 0, output: '' };
  }

  /** Also what another program than ours does. */
  unmounted(dir: string): void {
    this.#unmounted(dir, false);
  }

  #unmounted(dir: string, lazily: boolean): void {
    const at = this.table.findLastIndex(({ mountPoint }) => mountPoint === dir);
    const [gone] = this.table.splice(at, 1);
    const file = gone?.type === 'fuse.nbdfuse' ? `${dir}/nbd` : this.#lazyFile;
    const isUsed = this.table.some(({ source }) => source === file);
    if (lazily && isUsed) this.#lazyFile = file;
    else if (file !== null && !isUsed) this.#stop('exit code 0');
    if (this.letsGo && !this.table.some(({ device }) => device.startsWith('43:')))
      this.attached = 0;
  }

  #stop(how: string): void {
    if (this.#end === null) return;
    this.running--;
    this.#end(how);
    this.#end = null;
  }
}
