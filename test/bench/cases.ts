// Which servers are compared and which form of the image each serves. Data only.
import { fileURLToPath } from 'node:url';
import type { FormName } from './forms.js';

const DAEMON = fileURLToPath(new URL('../../daemon/main.js', import.meta.url));

export type CaseName =
  | 'obd-lsmt'
  | 'obd-lz4'
  | 'nbdkit'
  | 'qemu-nbd'
  | 'obd-raw'
  | 'obd-lz4-8'
  | 'obd-lz4-64k'
  | 'obd-zstd';

/** A server program on one form of the image. */
export interface Case {
  name: CaseName;
  /** What is served, for people. */
  about: string;
  form: FormName;
  /** Whether it runs only when asked for. */
  optional: boolean;
  /** Program and arguments that serve `files` (bottom layer first) at the Unix socket until killed. */
  command: (files: readonly string[], socket: string) => readonly [string, ...string[]];
}

/** The one that ratios refer to. */
export const YARDSTICK: CaseName = 'nbdkit';

const overlaybd: Case['command'] = (files, socket) => [
  process.execPath,
  DAEMON,
  'serve',
  ...files,
  '--listen',
  `unix://${socket}`,
];

export const CASES: readonly Case[] = [
  {
    name: 'obd-lsmt',
    about: 'overlaybd-nbd, one raw LSMT layer',
    form: 'lsmt',
    optional: false,
    command: overlaybd,
  },
  {
    name: 'obd-lz4',
    about: 'overlaybd-nbd, one layer, LZ4 4 KiB',
    form: 'lz4',
    optional: false,
    command: overlaybd,
  },
  {
    name: 'nbdkit',
    about: 'nbdkit file, raw image',
    form: 'raw',
    optional: false,
    command: (files, socket) => [
      'nbdkit',
      '--foreground',
      '--exit-with-parent',
      '--readonly',
      '--unix',
      socket,
      'file',
      ...files,
    ],
  },
  {
    name: 'qemu-nbd',
    about: 'qemu-nbd, raw image',
    form: 'raw',
    optional: false,
    command: (files, socket) => [
      'qemu-nbd',
      '--read-only',
      '--persistent',
      '--shared=16',
      '--format=raw',
      `--socket=${socket}`,
      ...files,
    ],
  },
  {
    name: 'obd-raw',
    about: 'overlaybd-nbd, raw image',
    form: 'raw',
    optional: true,
    command: overlaybd,
  },
  {
    name: 'obd-lz4-8',
    about: 'overlaybd-nbd, 8 layers, LZ4 4 KiB',
    form: 'lz4-8',
    optional: true,
    command: overlaybd,
  },
  {
    name: 'obd-lz4-64k',
    about: 'overlaybd-nbd, one layer, LZ4 64 KiB',
    form: 'lz4-64k',
    optional: true,
    command: overlaybd,
  },
  {
    name: 'obd-zstd',
    about: 'overlaybd-nbd, one layer, zstd 4 KiB',
    form: 'zstd',
    optional: true,
    command: overlaybd,
  },
];

/** @throws Error when there is none of that name */
export function findCase(name: CaseName): Case {
  const found = CASES.find((each) => each.name === name);
  if (!found) throw new Error(`${name}: no such server`);
  return found;
}
