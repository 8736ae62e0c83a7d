// What words of a command line and a configuration name: paths, or images of registries, layouts and archives.

import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { OverlaybdError, messageOf } from '../../errors.js';
import { hasImagePrefix } from '../../blob/blob-ref.js';
import { errorOf } from '../../lib/fault.js';
import { parseReference } from '../../registry/reference.js';

/** A word that can only be a path. */
const IS_PATH = /^(?:\/|\.{1,2}(?:\/|$))/;
/** "registry.example/app", "localhost:5000/app": a name with a host, not a short name of docker.io. */
const HAS_HOST = /^(?:localhost|[^/]*[.:][^/]*)\//;
/** What files of images end in, and names of images without a host do not. */
const HAS_FILE_SUFFIX =
  /\.(?:json|tar|tgz|gz|zst|zstd|xz|bz2|obd|lsmt|zfile|img|raw|iso|qcow2|vmdk|erofs|squashfs|sqfs|ext[234]|xfs|btrfs|cfs)$/i;
/** Of a word that {@link namedWords} gives: whether it names an image, and no path. */
export function namesImage(word: string): boolean {
  return hasImagePrefix(word);
}

/** Whether a word is called as files of images are, and images without a host are not. */
export function looksLikeImageFile(word: string): boolean {
  return HAS_FILE_SUFFIX.test(word);
}

/** Transports of skopeo that this program lacks, and what to do instead. */
const OTHER_TRANSPORTS: Readonly<Record<string, string>> = {
  'oci-archive': 'unpack the archive, and name its folder as oci:DIR',
  dir: 'copy the image to an OCI layout, and name its folder as oci:DIR',
  'docker-daemon': 'save the image with docker save, and name the file as docker-archive:FILE',
  'containers-storage': 'copy the image to an OCI layout, and name its folder as oci:DIR',
};

/** What to write instead of a word that another program would take. */
function otherWay(word: string): string | null {
  const [, scheme = '', rest = ''] = /^([a-z][a-z0-9+.-]*):(.*)$/is.exec(word) ?? [];
  if (scheme === 'file' && rest.startsWith('//')) return `not a path: write ${rest.slice(2)}`;
  if (rest.startsWith('//')) {
    const advice = 'download the file, or name the image as docker://HOST/REPOSITORY:TAG';
    return `URLs are not supported: ${advice}`;
  }
  // docker:dind is an image.
  const isImage = scheme === 'docker' && rest.includes('/');
  return isImage ? `not the name of an image: write docker://${rest}` : null;
}

/**
 * The words of one image: a word is a path if that exists, else the name of an image.
 * @returns absolute paths, and names with their scheme
 * @throws OverlaybdError NOT_FOUND for a word that is neither, with both readings
 */
export function namedWords(words: readonly string[]): string[] {
  return words.map((word) => {
    if (hasImagePrefix(word)) return withScheme(word, process.cwd());
    if (IS_PATH.test(word) || words.length > 1 || existsSync(word)) return word;
    return imageNamed(word, word);
  });
}

/** The same, with absolute paths: for a daemon, which has another working directory. */
export function absoluteWords(words: readonly string[]): string[] {
  return namedWords(words).map((word) => (hasImagePrefix(word) ? word : resolve(word)));
}

/**
 * The same for an export of a configuration, whose file may come later: only names with a scheme or a host
 * are images.
 * @param folder of the configuration
 */
export function configuredWords(words: readonly string[], folder: string): string[] {
  return words.map((word) => {
    if (hasImagePrefix(word)) return withScheme(word, folder);
    const path = resolve(folder, word);
    if (IS_PATH.test(word) || words.length > 1 || !HAS_HOST.test(word) || existsSync(path)) {
      return path;
    }
    return imageNamed(word, path);
  });
}

/** @param path where the file of that name would be */
function imageNamed(word: string, path: string): string {
  const scheme = word.slice(0, Math.max(word.indexOf(':'), 0));
  if (Object.hasOwn(OTHER_TRANSPORTS, scheme)) {
    const message = `${word}: ${scheme}: is not supported: ${OTHER_TRANSPORTS[scheme]}`;
    throw new OverlaybdError('UNSUPPORTED', message);
  }
  const other = otherWay(word);
  if (other !== null) throw errorOf('NOT_FOUND', { path: word }, other);
  const target = linkTarget(path);
  if (target !== null) {
    const message = `${word}: a symlink to ${target}, which does not exist`;
    throw new OverlaybdError('NOT_FOUND', message);
  }
  // No registry is asked for a file whose name is mistyped.
  if (HAS_FILE_SUFFIX.test(word) && (!HAS_HOST.test(word) || existsSync(dirname(path)))) {
    const message = `${word}: no such file; an image of that name is docker://${word}`;
    throw new OverlaybdError('NOT_FOUND', message);
  }
  try {
    parseReference(word);
  } catch (error) {
    const why = `there is no such file, and it does not name an image: ${messageOf(error)}`;
    throw errorOf('NOT_FOUND', { path: word }, why, error);
  }
  return `docker://${word}`;
}

/** Where a symlink leads; null: there is no symlink. */
function linkTarget(path: string): string | null {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : null;
  } catch {
    return null; // there is nothing
  }
}

/** Makes the folder or file of a local image absolute. */
function withScheme(word: string, folder: string): string {
  const reference = parseReference(word);
  switch (reference.kind) {
    case 'registry':
      return word;
    case 'oci': {
      const tag = word.slice('oci:'.length + reference.folder.length);
      return `oci:${resolve(folder, reference.folder)}${tag}`;
    }
    case 'docker-archive': {
      const tag = word.slice('docker-archive:'.length + reference.path.length);
      return `docker-archive:${resolve(folder, reference.path)}${tag}`;
    }
  }
}
