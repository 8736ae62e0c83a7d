// What words of a command line and a configuration name: paths, or images of registries, layouts and archives.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { OverlaybdError, messageOf } from '../../errors.js';
import { hasImagePrefix } from '../../blob/blob-ref.js';
import { parseReference } from '../../registry/reference.js';

/** A word that can only be a path. */
const IS_PATH = /^(?:\/|\.{1,2}(?:\/|$))/;
/** "registry.example/app", "localhost:5000/app": a name with a host, not a short name of docker.io. */
const HAS_HOST = /^(?:localhost|[^/]*[.:][^/]*)\//;

/**
 * The words of one image: a word is a path if that exists, else the name of an image.
 * @returns absolute paths, and names with their scheme
 * @throws OverlaybdError NOT_FOUND for a word that is neither, with both readings
 */
export function namedWords(words: readonly string[]): string[] {
  return words.map((word) => {
    if (hasImagePrefix(word)) return withScheme(word, process.cwd());
    if (IS_PATH.test(word) || words.length > 1 || existsSync(word)) return word;
    return imageNamed(word);
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
    return imageNamed(word);
  });
}

function imageNamed(word: string): string {
  try {
    parseReference(word);
  } catch (error) {
    const message = `${word}: there is no such file, and it does not name an image: ${messageOf(error)}`;
    throw new OverlaybdError('NOT_FOUND', message, { cause: error });
  }
  return `docker://${word}`;
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
