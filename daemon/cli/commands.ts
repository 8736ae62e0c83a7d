// All commands: what they are called, and where they are. A command's module is loaded when it is
// the one that runs, or whose help is shown.

import type { Argv } from 'yargs';

/** What a command's module exports. */
interface CommandModule {
  builder(yargs: Argv): Argv<object>;
  /** @returns the exit code */
  run(args: object): Promise<number>;
}

export interface Command {
  readonly usage: string;
  readonly describe: string;
  readonly load: () => Promise<CommandModule>;
}

export const COMMANDS: readonly Command[] = [
  {
    usage: 'serve [image..]',
    describe: 'serve images as read-only NBD exports',
    load: () => import('./serve.js'),
  },
  {
    usage: 'inspect <image..>',
    describe: 'show what is in images and layer blobs',
    load: () => import('./inspect.js'),
  },
  {
    usage: 'verify <image..>',
    describe: 'check every byte of images and layer blobs',
    load: () => import('./verify.js'),
  },
  {
    usage: 'attach [image..]',
    describe: 'attach an export or an image to /dev/nbdX, and print the device',
    load: () => import('./attach.js'),
  },
  {
    usage: 'detach [device..]',
    describe: 'detach devices',
    load: () => import('./detach.js'),
  },
  {
    usage: 'status',
    describe: 'show the running daemon, its exports and its devices',
    load: () => import('./status.js'),
  },
  {
    usage: 'mount <image..>',
    describe: 'mount the file system in an image, read-only: mount <image..> <dir>',
    load: () => import('./mount.js'),
  },
  {
    usage: 'umount <dir>',
    describe: 'end a mount of `mount`, and what is below it',
    load: () => import('./umount.js'),
  },
  {
    usage: 'reload',
    describe: 'have the running daemon read its exports again',
    load: () => import('./reload.js'),
  },
  {
    usage: 'upgrade',
    describe: 'replace the running daemon by the program as it is now, and lose nothing',
    load: () => import('./upgrade.js'),
  },
  {
    usage: 'attach-helper',
    describe: 'connect devices for daemons without privileges (a service of its own)',
    load: () => import('./attach-helper.js'),
  },
];
