// The options about what lies beside the one layer that is given as a file.

import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import type { Beside } from '../../image/image-source.js';
import { isSha256 } from '../../registry/digest.js';
import { badArgument } from './values.js';

export interface BesideArguments {
  'toc-blob'?: string | undefined;
  'toc-digest'?: string | undefined;
}

export function besideOptions<T>(yargs: Argv<T>): Argv<T & BesideArguments> {
  return yargs
    .option('toc-blob', {
      describe: 'FILE: the blob with the table of contents of the eStargz layer',
      type: 'string',
      requiresArg: true,
    })
    .option('toc-digest', {
      describe: 'sha256:HEX: what the table of contents of the layer must have',
      type: 'string',
      requiresArg: true,
    });
}

/** @returns null if nothing is named @throws OverlaybdError BAD_ARGUMENT */
export function besideOf(args: BesideArguments): Beside | null {
  const { 'toc-blob': tocBlob, 'toc-digest': tocDigest } = args;
  if (tocBlob === '') throw badArgument('--toc-blob: an empty path');
  if (tocDigest !== undefined && !isSha256(tocDigest)) {
    throw badArgument('--toc-digest: "sha256:" and 64 digits 0-9, a-f are expected');
  }
  if (tocBlob === undefined && tocDigest === undefined) return null;
  return {
    tocBlob: tocBlob === undefined ? null : resolve(tocBlob),
    tocDigest: tocDigest ?? null,
  };
}

/** The same as words of a command line. */
export function besideWords(args: BesideArguments): string[] {
  const { tocBlob = null, tocDigest = null } = besideOf(args) ?? {};
  return [
    ...(tocBlob === null ? [] : ['--toc-blob', tocBlob]),
    ...(tocDigest === null ? [] : ['--toc-digest', tocDigest]),
  ];
}
