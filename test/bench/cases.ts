// Which servers are compared and which form of the image each serves. Data only.
import type { FormName } from './forms.js';
import { PROGRAM } from '../support/program.js';

export type CaseName =
  | 'obd-lsmt'
  | 'obd-lz4'
  | 'nbdkit'
  | 'qemu-nbd'
  | 'qemu-qcow2'
  | 'nbdkit-xz'
  | 'obd-raw'
  | 'obd-lz4-8'
  | 'obd-lz4-64k'
  | 'obd-zstd'
  | 'obd-lsmt-no-spin'
  | 'obd-lz4-no-spin'
  | 'obd-zstd-no-spin';

/** Decoding alone, without a server: see floors.ts. */
export type FloorName = 'floor-lz4' | 'floor-zstd';

/** What a row of a table is about. */
export type RowName = CaseName | FloorName;

/** How a chart shows it: as this project, the yardstick, or another server. */
export type Role = 'ours' | 'yardstick' | 'peer';

/** A server program on one form of the image. */
export interface Case {
  name: CaseName;
  /** The served form, for people. */
  about: string;
  role: Role;
  form: FormName;
  /** When it runs: always, only in the works that name it, or only on request. */
  when: 'always' | 'named' | 'asked';
  /** Program and arguments that serve `files` (bottom layer first) at the Unix socket until killed. */
  command: (files: readonly string[], socket: string) => readonly [string, ...string[]];
}

/** The server that ratios refer to. */
export const YARDSTICK: CaseName = 'nbdkit';

const overlaybd: Case['command'] = (files, socket) => [
  process.execPath,
  PROGRAM,
  'serve',
  ...files,
  '--listen',
  `unix://${socket}`,
];

const withoutSpin: Case['command'] = (files, socket) => [
  ...overlaybd(files, socket),
  '--spin',
  'off',
];

const nbdkit = (socket: string): [string, ...string[]] => [
  'nbdkit',
  '--foreground',
  '--exit-with-parent',
  '--readonly',
  '--unix',
  socket,
];

const qemuNbd = (socket: string): [string, ...string[]] => [
  'qemu-nbd',
  '--read-only',
  '--persistent',
  '--shared=16',
  `--socket=${socket}`,
];

/** In the order in which tables and charts show them. */
export const CASES: readonly Case[] = [
  {
    name: 'obd-raw',
    about: 'overlaybd-nbd, raw image',
    role: 'ours',
    form: 'raw',
    when: 'asked',
    command: overlaybd,
  },
  {
    name: 'obd-lsmt',
    about: 'overlaybd-nbd, one raw LSMT layer',
    role: 'ours',
    form: 'lsmt',
    when: 'always',
    command: overlaybd,
  },
  {
    name: 'obd-lz4',
    about: 'overlaybd-nbd, one layer, LZ4 4 KiB',
    role: 'ours',
    form: 'lz4',
    when: 'always',
    command: overlaybd,
  },
  {
    name: 'obd-lz4-8',
    about: 'overlaybd-nbd, 8 layers, LZ4 4 KiB',
    role: 'ours',
    form: 'lz4-8',
    when: 'always',
    command: overlaybd,
  },
  {
    name: 'obd-lz4-64k',
    about: 'overlaybd-nbd, one layer, LZ4 64 KiB',
    role: 'ours',
    form: 'lz4-64k',
    when: 'always',
    command: overlaybd,
  },
  {
    name: 'obd-zstd',
    about: 'overlaybd-nbd, one layer, zstd 4 KiB',
    role: 'ours',
    form: 'zstd',
    when: 'always',
    command: overlaybd,
  },
  ...(['lsmt', 'lz4', 'zstd'] as const).map((form): Case => {
    const name = `obd-${form}-no-spin` as const;
    const about = `overlaybd-nbd, ${form === 'lsmt' ? 'raw LSMT' : form}, --spin off`;
    return { name, about, role: 'ours', form, when: 'named', command: withoutSpin };
  }),
  {
    name: 'nbdkit',
    about: 'nbdkit file, raw image',
    role: 'yardstick',
    form: 'raw',
    when: 'always',
    command: (files, socket) => [...nbdkit(socket), 'file', ...files],
  },
  {
    name: 'qemu-nbd',
    about: 'qemu-nbd, raw image',
    role: 'peer',
    form: 'raw',
    when: 'always',
    command: (files, socket) => [...qemuNbd(socket), '--format=raw', ...files],
  },
  {
    name: 'qemu-qcow2',
    about: 'qemu-nbd, qcow2 of zstd 64 KiB',
    role: 'peer',
    form: 'qcow2',
    when: 'always',
    command: (files, socket) => [...qemuNbd(socket), '--format=qcow2', ...files],
  },
  {
    name: 'nbdkit-xz',
    about: 'nbdkit xz filter, xz of 64 KiB',
    role: 'peer',
    form: 'xz',
    when: 'always',
    command: (files, socket) => [
      ...nbdkit(socket),
      '--filter=xz',
      'file',
      ...files,
      'xz-max-depth=16',
    ],
  },
];

const FLOORS: Readonly<Record<FloorName, string>> = {
  'floor-lz4': 'no server: one thread decodes LZ4 4 KiB',
  'floor-zstd': 'no server: one thread decodes zstd 4 KiB',
};

/** For people. */
export function describeRow(name: RowName): Pick<Case, 'about' | 'role'> {
  if (isFloor(name)) return { about: FLOORS[name], role: 'peer' };
  return findCase(name);
}

export function isFloor(name: RowName): name is FloorName {
  return name in FLOORS;
}

/** @throws Error if there is none of that name */
export function findCase(name: CaseName): Case {
  const found = CASES.find((each) => each.name === name);
  if (!found) throw new Error(`${name}: no such server`);
  return found;
}
