// `overlaybd-nbd attach`: attaches an image to /dev/nbdX.

import type { Argv } from 'yargs';
import { errorOf } from '../lib/fault.js';
import {
  attachOptions,
  attachRequest,
  registriesWanted,
  sourceOf,
  type AttachArguments,
} from './options/attach.js';
import { controlClient, folderOf } from './options/client.js';
import { registryWords } from './options/registry.js';
import type { DeviceStatus } from '../control/api.js';
import { attachDevice } from '../devices/attach-client.js';
import { EXIT_OK } from './exit-codes.js';
import { printResult, remark } from './output.js';
import { patiently, tellOnStderr, waitSeconds } from './patience.js';

export interface AttachCommandArguments extends AttachArguments {
  image?: string[] | undefined;
  export?: string | undefined;
  wait?: number | undefined;
}

export function builder(yargs: Argv): Argv<AttachCommandArguments> {
  return attachOptions(yargs)
    .positional('image', {
      describe:
        'an export of the running daemon, an image of a registry, an image configuration, or layers (OverlayBD, tar, gzip, zstd, eStargz...), bottom first',
      type: 'string',
      array: true,
    })
    .option('export', {
      alias: 'e',
      describe: 'an export of the running daemon, even if there is a file of that name',
      type: 'string',
      requiresArg: true,
    })
    .option('wait', {
      alias: 'w',
      describe:
        'try again for this many seconds while the daemon, image or device is not available',
      type: 'number',
      requiresArg: true,
    })
    .example('$0 attach web', 'attach the export "web" of the running daemon')
    .example('$0 attach config.v1.json -d /dev/nbd3', 'attach an image to a certain device');
}

export async function run(args: AttachCommandArguments): Promise<number> {
  const words = args.image ?? [];
  if (args.export !== undefined && words.length > 0) {
    throw errorOf('BAD_ARGUMENT', { section: '--export' }, 'not together with an image');
  }
  const wanted = await registriesWanted(args, remark);
  const attach = async (): Promise<DeviceStatus> => {
    const source = args.export === undefined ? sourceOf(words) : { export: args.export };
    const request = attachRequest(source, args, wanted);
    const { STATUS_MS, withOpeningBar } = await import('./opening-bar.js');
    const image = 'image' in request ? request.image.join(' ') : null;
    return withOpeningBar(
      image,
      () => controlClient(args.state, STATUS_MS).status(),
      () => attachDevice(folderOf(args.state), request, registryWords(args)),
    );
  };
  const { device } = await patiently(attach, {
    seconds: waitSeconds(args.wait),
    tell: tellOnStderr,
  });
  await printResult(device, `${device} is attached`);
  return EXIT_OK;
}
