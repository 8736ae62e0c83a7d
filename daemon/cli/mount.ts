// `overlaybd-nbd mount`: its options, and the choice between the kernel and FUSE. The work is in mount/.

import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { attachDevice, detachDevice } from '../devices/attach-client.js';
import { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { MAIN } from '../lib/program.js';
import { withInsideHint } from '../mount/fuse-programs.js';
import { absoluteUri, checkExport, exportUri, isNbdUri } from '../mount/export-uri.js';
import { runtimeFolder } from '../mount/fuse-disk.js';
import {
  mountDevice,
  otherDevices,
  readDevice,
  type ReadableDevice,
} from '../mount/mount-device.js';
import { mountFuse } from '../mount/mount-fuse.js';
import { fuseOptions, safeOptions, userOptions } from '../mount/mount-options.js';
import { checkFree, currentMounts, mountPoint } from '../mount/mount-point.js';
import { programs } from '../mount/programs.js';
import {
  attachOptions,
  attachRequest,
  registriesWanted,
  sourceOf,
  type AttachArguments,
} from './options/attach.js';
import { controlClient, folderOf } from './options/client.js';
import { EXIT_OK } from './exit-codes.js';
import { remark } from './output.js';
import { registryWords } from './options/registry.js';
import { besideWords } from './options/beside.js';
import { partitionNumber } from './options/exports.js';
import { notWith } from './options/values.js';

export interface MountArguments extends AttachArguments {
  /** The words of the image, then the folder. */
  image?: string[] | undefined;
  options?: string[] | undefined;
  fuse?: boolean | undefined;
  'allow-dev'?: boolean | undefined;
  'allow-suid'?: boolean | undefined;
}

/** File systems read the last bytes of an image in blocks: squashfs of 1 KiB, others of up to this. */
const PAGE_SIZE = 4096;

export function builder(yargs: Argv): Argv<MountArguments> {
  return attachOptions(yargs)
    .positional('image', {
      describe:
        'an image of a registry, an image configuration, layers (OverlayBD, tar, gzip, zstd, eStargz...), bottom first, or an export of the running daemon; then the folder to mount on',
      type: 'string',
      array: true,
    })
    .option('options', {
      alias: 'o',
      describe: 'further options for mount(8), separated by commas; repeatable',
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('allow-dev', {
      describe: 'allow device nodes in the image (default: nodev)',
      type: 'boolean',
    })
    .option('allow-suid', {
      describe: 'allow setuid programs in the image (default: nosuid)',
      type: 'boolean',
    })
    .option('fuse', {
      describe: 'mount with nbdfuse and a FUSE program, without root and the nbd module',
      type: 'boolean',
    })
    .check(notWith('fuse', ['device', 'connections', 'timeout', 'dead-conn-timeout', 'block-size']))
    .example('$0 mount config.v1.json /mnt', 'attach an image and mount it')
    .example('$0 mount web /mnt -o noexec', 'mount an export of the running daemon')
    .example('$0 mount --fuse base.obd app.obd ~/mnt', 'mount two layers without root');
}

/** @returns the exit code */
export async function run(args: MountArguments): Promise<number> {
  const words = [...(args.image ?? [])];
  const folder = words.pop();
  if (folder === undefined || words.length === 0) {
    const why = 'name an image, then the folder to mount it on';
    throw errorOf('BAD_ARGUMENT', { section: 'mount' }, why);
  }
  const allowed = { dev: args['allow-dev'] === true, suid: args['allow-suid'] === true };
  const isFuse = args.fuse === true;
  const safe = isFuse ? fuseOptions(allowed, isRoot()) : safeOptions(allowed);
  const options = [...safe, ...userOptions(args.options ?? [], isFuse)];
  const dir = await mountPoint(folder);
  if (isFuse && !options.includes('nonempty')) await checkFree(dir, await currentMounts());
  const abort = new AbortController();
  const onSignal = (): void => abort.abort();
  // once(): if something hangs, a second Ctrl-C ends the process at once.
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    if (isFuse) await viaFuse(args, words, dir, options, abort.signal);
    else await viaKernel(args, words, dir, options, abort.signal);
    return EXIT_OK;
  } finally {
    process.removeListener('SIGINT', onSignal);
    process.removeListener('SIGTERM', onSignal);
  }
}

async function viaKernel(
  args: MountArguments,
  words: readonly string[],
  dir: string,
  options: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const folder = folderOf(args.state);
  const request = attachRequest(sourceOf(words), args, {
    ...(await registriesWanted(args, remark)),
    reuse: false,
    sizeMultiple: PAGE_SIZE,
  });
  const attach = async (): Promise<ReadableDevice> => {
    try {
      const { STATUS_MS, withOpeningBar } = await import('./opening-bar.js');
      return await withOpeningBar(
        'image' in request ? request.image.join(' ') : null,
        () => controlClient(args.state, STATUS_MS).status(),
        () => attachDevice(folder, request, registryWords(args)),
      );
    } catch (error) {
      throw withHint(error);
    }
  };
  await mountDevice(dir, options, {
    attach,
    detach: (device) => detachDevice(folder, device),
    detachOnClose: (device) => detachOnClose(device, folder),
    read: readDevice,
    others: otherDevices,
    programs,
    signal,
  });
}

/** If the kernel cannot do this (before Linux 4.15, or with ioctl), `umount` detaches the device. */
async function detachOnClose(device: string, folder: string): Promise<void> {
  await detachDevice(folder, device, { onClose: true }).catch((error: unknown) => {
    const isOld = error instanceof OverlaybdError && error.code === 'UNSUPPORTED';
    if (!isOld) throw error;
  });
}

function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

async function viaFuse(
  args: MountArguments,
  words: readonly string[],
  dir: string,
  options: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const server = await serverOf(args, words);
  const tools = {
    programs,
    mounts: currentMounts,
    read: readDevice,
    signal,
    isRoot: isRoot(),
    runtime: runtimeFolder(),
  };
  await mountFuse({ name: words.join(' '), server, dir, options }, tools).catch(
    (error: unknown) => {
      throw withInsideHint(error);
    },
  );
}

/** What nbdfuse connects to: a running server, or a command that it starts and that ends with it. */
async function serverOf(args: MountArguments, words: readonly string[]): Promise<string[]> {
  const [first = ''] = words;
  const isUri = words.length === 1 && isNbdUri(first);
  const source = isUri ? null : sourceOf(words);
  const { partition } = args;
  if (partition !== undefined) partitionNumber(partition);
  if (source && 'image' in source) {
    const part = partition === undefined ? [] : ['--partition', `${partition}`];
    const serve = [MAIN, 'serve', '--stdio', ...part, ...besideWords(args), ...registryWords(args)];
    return ['--command', process.execPath, ...serve, ...source.image];
  }
  if (partition !== undefined) {
    const why = 'works with --fuse for images, not for exports and URIs';
    const advice = 'serve it with --partition, and mount that';
    throw errorOf('BAD_ARGUMENT', { section: '--partition' }, `${why}: ${advice}`);
  }
  const [option] = [...besideWords(args), ...registryWords(args)];
  if (option !== undefined) {
    const why = 'works with --fuse for images, not for exports and URIs';
    const advice = 'their daemon has settings of its own';
    throw errorOf('BAD_ARGUMENT', { section: option }, `${why}: ${advice}`);
  }
  if (!source) return [absoluteUri(first, (path) => resolve(path))];
  const client = controlClient(args.state);
  const { listening, starting, exports } = await client.status();
  if (starting) throw errorOf('BUSY', {}, 'the daemon is starting: it listens nowhere yet');
  checkExport(
    source.export,
    exports.map(({ name }) => name),
  );
  const uri = exportUri(listening, source.export);
  if (uri !== null) return [uri];
  const why =
    'the daemon has no address that nbdfuse can use without certificates; give it a Unix socket (--listen unix:///PATH), or mount an NBD URI: mount --fuse nbds://HOST/NAME DIR';
  throw errorOf('UNSUPPORTED', { export: source.export }, why);
}

/** Adds a hint at --fuse if the kernel provides no device. */
function withHint(error: unknown): unknown {
  if (!(error instanceof OverlaybdError)) return error;
  if (error.code !== 'NO_KERNEL' && error.code !== 'PERMISSION') return error;
  if (error.message.includes('mount --fuse')) return error;
  const hint = 'mount --fuse needs neither root nor the nbd module';
  return new OverlaybdError(error.code, `${error.message}; ${hint}`, { cause: error });
}
