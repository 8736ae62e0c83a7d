// The options about what lies beside layers that are given as files.

import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import type { Beside } from '../../image/plan/image-source.js';
import { isSha256 } from '../../lib/sha256.js';
import { badArgument } from './values.js';
import { configuredWords } from './words.js';

export interface BesideArguments {
  'toc-blob'?: string | undefined;
  'toc-digest'?: string | undefined;
  ztoc?: string[] | undefined;
  layer?: number | undefined;
  'insecure-toc'?: boolean | undefined;
  objects?: string | undefined;
  'soci-index'?: string | undefined;
  blobs?: string | undefined;
}

type LayerChoices = Pick<Beside, 'layer' | 'insecureToc' | 'sociIndex' | 'blobs'>;

/** Instead of a file: the layer has no ztoc. */
const NO_ZTOC = 'none';

export function besideOptions<T>(yargs: Argv<T>): Argv<T & BesideArguments> {
  return yargs
    .option('toc-blob', {
      describe: 'FILE: the blob with the table of contents of the eStargz layer',
      type: 'string',
      requiresArg: true,
    })
    .option('toc-digest', {
      describe:
        'sha256:HEX: the digest that the table of contents or the ztoc of the layer must have',
      type: 'string',
      requiresArg: true,
    })
    .option('ztoc', {
      describe: 'FILE: the ztoc (SOCI) of the layer; once for each layer, bottom first, or "none"',
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('layer', {
      describe:
        'N: only the tree of this layer of files, with its whiteouts; 0 is the bottom layer',
      type: 'number',
      requiresArg: true,
    })
    .option('insecure-toc', {
      describe:
        'open layers of an image by their tables of contents even if nothing verifies these',
      type: 'boolean',
    })
    .option('objects', {
      describe: 'DIR: the folder with the objects of the composefs image',
      type: 'string',
      requiresArg: true,
    })
    .option('soci-index', {
      describe:
        'DIGEST, HOST/REPOSITORY:TAG, oci:DIR:TAG or FILE: the SOCI index of the image; or "none"',
      type: 'string',
      requiresArg: true,
    })
    .option('blobs', {
      describe:
        'PATH: the folder with the data blobs of the Nydus image or the devices of the EROFS image, or its only device',
      type: 'string',
      requiresArg: true,
    });
}

/** @returns null if nothing is named @throws OverlaybdError BAD_ARGUMENT */
export function besideOf(args: BesideArguments): Beside | null {
  const { 'toc-blob': tocBlob, 'toc-digest': tocDigest, ztoc = [], objects } = args;
  if (tocBlob === '') throw badArgument('--toc-blob: an empty path');
  if (objects === '') throw badArgument('--objects: an empty path');
  if (args.blobs === '') throw badArgument('--blobs: an empty path');
  if (tocDigest !== undefined && !isSha256(tocDigest)) {
    throw badArgument('--toc-digest: expected "sha256:" and 64 digits 0-9, a-f');
  }
  if (ztoc.includes('')) throw badArgument('--ztoc: an empty path');
  const choices = choicesOf(args);
  const isNone =
    [tocBlob, tocDigest, objects].every((each) => each === undefined) && ztoc.length === 0;
  if (isNone && Object.keys(choices).length === 0) return null;
  return {
    tocBlob: tocBlob === undefined ? null : resolve(tocBlob),
    tocDigest: tocDigest ?? null,
    ztocs: ztoc.map((path) => (path === NO_ZTOC ? null : resolve(path))),
    ...(objects !== undefined && { objects: resolve(objects) }),
    ...choices,
  };
}

/** What is chosen of the layers, and not beside them. */
function choicesOf({
  layer,
  blobs,
  'insecure-toc': insecure,
  'soci-index': sociIndex,
}: BesideArguments): LayerChoices {
  if (layer !== undefined && !(Number.isInteger(layer) && layer >= 0)) {
    throw badArgument('--layer: expected 0 or a positive whole number');
  }
  if (sociIndex === '') throw badArgument('--soci-index: an empty path');
  return {
    ...(sociIndex !== undefined && { sociIndex: indexNamed(sociIndex, process.cwd()) }),
    ...(layer !== undefined && { layer }),
    ...(blobs !== undefined && { blobs: resolve(blobs) }),
    ...(insecure === true && { insecureToc: true as const }),
  };
}

/**
 * The name of a SOCI index: a name of a registry needs a host.
 * @param folder of the configuration that has it, or the working directory
 */
export function indexNamed(word: string, folder: string): string {
  if (word === 'none' || isSha256(word)) return word;
  return configuredWords([word], folder)[0] as string;
}

/** The same as words of a command line. */
export function besideWords(args: BesideArguments): string[] {
  const beside = besideOf(args);
  const {
    tocBlob = null,
    tocDigest = null,
    ztocs = [],
    objects,
    blobs,
    layer,
    insecureToc,
    sociIndex,
  } = beside ?? {};
  return [
    ...(tocBlob === null ? [] : ['--toc-blob', tocBlob]),
    ...(tocDigest === null ? [] : ['--toc-digest', tocDigest]),
    ...ztocs.flatMap((path) => ['--ztoc', path ?? NO_ZTOC]),
    ...(objects === undefined ? [] : ['--objects', objects]),
    ...(layer === undefined ? [] : ['--layer', `${layer}`]),
    ...(blobs === undefined ? [] : ['--blobs', blobs]),
    ...(insecureToc ? ['--insecure-toc'] : []),
    ...(sociIndex === undefined ? [] : ['--soci-index', sociIndex]),
  ];
}
