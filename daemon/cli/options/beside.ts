// The options about what lies beside layers that are given as files.

import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import type { Beside } from '../../image/image-source.js';
import { isSha256 } from '../../registry/digest.js';
import { badArgument } from './values.js';

export interface BesideArguments {
  'toc-blob'?: string | undefined;
  'toc-digest'?: string | undefined;
  ztoc?: string[] | undefined;
}

/** In place of a file: the layer has no ztoc. */
const NO_ZTOC = 'none';

export function besideOptions<T>(yargs: Argv<T>): Argv<T & BesideArguments> {
  return yargs
    .option('toc-blob', {
      describe: 'FILE: the blob with the table of contents of the eStargz layer',
      type: 'string',
      requiresArg: true,
    })
    .option('toc-digest', {
      describe: 'sha256:HEX: what the table of contents or the ztoc of the layer must have',
      type: 'string',
      requiresArg: true,
    })
    .option('ztoc', {
      describe: 'FILE: the ztoc (SOCI) of the layer; once for each layer, bottom first, or "none"',
      type: 'string',
      array: true,
      nargs: 1,
    });
}

/** @returns null if nothing is named @throws OverlaybdError BAD_ARGUMENT */
export function besideOf(args: BesideArguments): Beside | null {
  const { 'toc-blob': tocBlob, 'toc-digest': tocDigest, ztoc = [] } = args;
  if (tocBlob === '') throw badArgument('--toc-blob: an empty path');
  if (tocDigest !== undefined && !isSha256(tocDigest)) {
    throw badArgument('--toc-digest: "sha256:" and 64 digits 0-9, a-f are expected');
  }
  if (ztoc.includes('')) throw badArgument('--ztoc: an empty path');
  if (tocBlob === undefined && tocDigest === undefined && ztoc.length === 0) return null;
  return {
    tocBlob: tocBlob === undefined ? null : resolve(tocBlob),
    tocDigest: tocDigest ?? null,
    ztocs: ztoc.map((path) => (path === NO_ZTOC ? null : resolve(path))),
  };
}

/** The same as words of a command line. */
export function besideWords(args: BesideArguments): string[] {
  const { tocBlob = null, tocDigest = null, ztocs = [] } = besideOf(args) ?? {};
  return [
    ...(tocBlob === null ? [] : ['--toc-blob', tocBlob]),
    ...(tocDigest === null ? [] : ['--toc-digest', tocDigest]),
    ...ztocs.flatMap((path) => ['--ztoc', path ?? NO_ZTOC]),
  ];
}
