// All commands, with their names and modules. The module of a command is loaded only to run it or to show
// its help.

import type { Argv } from 'yargs';

/** The exports of a command's module. */
interface CommandModule {
  builder(yargs: Argv): Argv<object>;
  /** What the first word can be, for completion. Absent: anything. */
  readonly actions?: readonly string[];
  /** @returns the exit code */
  run(args: object): Promise<number>;
}

export interface Command {
  readonly usage: string;
  /** As people are shown it: yargs takes no word after repeated ones. Absent: the same. */
  readonly shown?: string;
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
    describe: 'show what is in images and their layers',
    load: () => import('./inspect.js'),
  },
  {
    usage: 'verify <image..>',
    describe: 'check every byte of images and their layers',
    load: () => import('./verify.js'),
  },
  {
    usage: 'ls <image> [path..]',
    describe: 'list files in an image, without mounting it',
    load: () => import('./ls.js'),
  },
  {
    usage: 'tree <image> [path..]',
    describe: 'show the folders of an image and what is in them',
    load: () => import('./tree.js'),
  },
  {
    usage: 'stat <image> <path..>',
    describe: 'show the attributes of files in an image',
    load: () => import('./stat.js'),
  },
  {
    usage: 'cat <image> <path..>',
    describe: 'print files of an image',
    load: () => import('./cat.js'),
  },
  {
    usage: 'cp <image> <path..>',
    shown: 'cp <image> <path..> <dest>',
    describe: 'copy files and folders of an image to this machine',
    load: () => import('./cp.js'),
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
    usage: 'exports [action] [name] [image..]',
    describe: 'list, add and remove the exports of the running daemon',
    load: () => import('./exports.js'),
  },
  {
    usage: 'mount <image..>',
    shown: 'mount <image..> <dir>',
    describe: 'mount the file system in an image, read-only',
    load: () => import('./mount.js'),
  },
  {
    usage: 'umount <dir>',
    describe: 'unmount what `mount` has mounted, and detach its device',
    load: () => import('./umount.js'),
  },
  {
    usage: 'warm <image..>',
    describe: 'fetch images of registries into the cache',
    load: () => import('./warm.js'),
  },
  {
    usage: 'cache <action> [digest..]',
    describe: 'show, check and clean the cache of registries',
    load: () => import('./cache.js'),
  },
  {
    usage: 'reload',
    describe: 'make the running daemon read its exports and TLS settings again',
    load: () => import('./reload.js'),
  },
  {
    usage: 'upgrade',
    describe: 'replace the running daemon with the program that is on disk now',
    load: () => import('./upgrade.js'),
  },
  {
    usage: 'attach-helper',
    describe: 'connect devices for daemons without privileges (a separate service)',
    load: () => import('./attach-helper.js'),
  },
];
