// The file system of an NBD export as a user has it who has no /dev/nbdX: nbdfuse, a loop device, the kernel's ext4 or EROFS.
// A mount has no page cache of the one before it. It needs root.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { atExit, notAtExit } from '../at-exit.js';
import { mustRun, runTool } from '../../support/tools.js';

const READY_MS = 60_000;
/** A mount over a slow server takes seconds. */
const MOUNT_MS = 120_000;
const POLL_MS = 2;
const BUSY_MS = 10_000;

/** How mount(8) is told about it. */
export interface FileSystem {
  readonly type: string;
  readonly options: string;
}

const EXT4: FileSystem = { type: 'ext4', options: 'ro,noload' };

export class DiskMount {
  /** Where the files are. */
  readonly path: string;
  readonly #fuse: string;
  readonly #nbdfuse: ChildProcess;
  #output = '';
  #loop = '';
  #isMounted = false;

  private constructor(folder: string, socket: string) {
    this.path = join(folder, 'files');
    this.#fuse = join(folder, 'disk');
    for (const each of [this.path, this.#fuse]) mkdirSync(each, { recursive: true });
    this.#nbdfuse = spawn('nbdfuse', ['--readonly', this.#fuse, '--unix', socket], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#nbdfuse.stderr?.on('data', (text: Buffer) => {
      this.#output = `${this.#output}${text.toString()}`.slice(-4096);
    });
    atExit(this.#abandon);
  }

  /**
   * @param folder for mount points
   * @param socket of the server, which listens already
   * @throws Error if a step fails; nothing is left then
   */
  static async open(
    folder: string,
    socket: string,
    fileSystem: FileSystem = EXT4,
  ): Promise<DiskMount> {
    const mount = new DiskMount(folder, socket);
    try {
      await mount.#mount(fileSystem);
      return mount;
    } catch (error) {
      mount.#abandon();
      throw error;
    }
  }

  async #mount({ type, options }: FileSystem): Promise<void> {
    const disk = join(this.#fuse, 'nbd');
    for (const late = performance.now() + READY_MS; !existsSync(disk); await sleep(POLL_MS)) {
      const { exitCode } = this.#nbdfuse;
      if (exitCode !== null) throw new Error(`nbdfuse: exit ${exitCode}: ${this.#output}`);
      if (performance.now() > late) throw new Error(`nbdfuse: no disk: ${this.#output}`);
    }
    this.#loop = (await mustRun('losetup', ['--read-only', '--find', '--show', disk])).trim();
    const words = ['-t', type, '-o', options, this.#loop, this.path];
    await mustRun('mount', words, { timeout: MOUNT_MS });
    this.#isMounted = true;
  }

  async close(): Promise<void> {
    await this.#unmount();
    this.#isMounted = false;
    await mustRun('losetup', ['--detach', this.#loop]);
    this.#loop = '';
    const exit = once(this.#nbdfuse, 'exit');
    await mustRun('fusermount3', ['-u', this.#fuse]);
    await exit;
    notAtExit(this.#abandon);
  }

  /** What was ended in the middle of a read may use it a little longer. */
  async #unmount(): Promise<void> {
    for (const late = performance.now() + BUSY_MS; ; await sleep(100)) {
      const { code, stderr } = await runTool('umount', [this.path]);
      if (code === 0) return;
      if (performance.now() > late) throw new Error(`umount ${this.path}: ${stderr}`);
    }
  }

  /** Takes everything away, also if a part of it hangs. */
  readonly #abandon = (): void => {
    notAtExit(this.#abandon);
    if (this.#isMounted) spawnSync('umount', ['--lazy', this.path]);
    if (this.#loop !== '') spawnSync('losetup', ['--detach', this.#loop]);
    spawnSync('fusermount3', ['-u', '-z', this.#fuse]);
    this.#nbdfuse.kill('SIGKILL');
  };
}
