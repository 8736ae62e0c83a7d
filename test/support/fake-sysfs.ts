// A folder with the layout of the kernel's /sys for NBD devices. It decides nothing.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { shortFolder } from './daemon-process.js';

export interface FakeDevice {
  pid?: number;
  backend?: string;
  /** Bytes. */
  size?: number;
}

export class FakeSysfs {
  readonly root: string;

  constructor(t: Test, devices: number) {
    this.root = shortFolder(t);
    mkdirSync(join(this.root, 'block', 'sda'), { recursive: true });
    for (let index = 0; index < devices; index++) this.set(index, {});
  }

  folder(index: number): string {
    return join(this.root, 'block', `nbd${index}`);
  }

  /** Sets the facts of a device; with only a size it is not connected. */
  set(index: number, { pid, backend, size = 0 }: FakeDevice): void {
    const folder = this.folder(index);
    mkdirSync(join(folder, 'holders'), { recursive: true });
    const files: [string, string | number | undefined][] = [
      ['size', size / 512],
      ['dev', `43:${index * 16}`],
      ['pid', pid],
      ['backend', backend],
    ];
    for (const [name, value] of files) {
      if (value === undefined) rmSync(join(folder, name), { force: true });
      else writeFileSync(join(folder, name), `${value}\n`);
    }
  }

  hold(index: number, by: string): void {
    writeFileSync(join(this.folder(index), 'holders', by), '');
  }

  release(index: number, by: string): void {
    rmSync(join(this.folder(index), 'holders', by));
  }
}
