// The paths of the cache, and the meaning of file names. Creates nothing.

import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { codeOf, OverlaybdError } from '../errors.js';
import { sha256Digits } from '../lib/sha256.js';
import { bounded } from './disk.js';

/** A program that knows no other version leaves these files alone. */
const LAYOUT = 'v1';
const SUFFIXES = /^(?<digits>[0-9a-f]{64})(?:\.(?<nonce>[0-9a-f]{16}))?\.(?<kind>data|state|blob)$/;

/** The name of a file of a blob, parsed. */
export interface BlobFileName {
  readonly digits: string;
  /** Of a pair of data and state; null of a complete blob. */
  readonly nonce: string | null;
  readonly kind: 'data' | 'state' | 'blob';
}

/** The folder if none is configured: that of the unit, else that of the user. null: there is none. */
export function defaultCacheFolder(env: NodeJS.ProcessEnv): string | null {
  // systemd names all folders of CacheDirectory=.
  const unit = env['CACHE_DIRECTORY']?.split(':')[0];
  if (unit) return unit;
  if (env['XDG_CACHE_HOME']) return join(env['XDG_CACHE_HOME'], 'overlaybd-nbd');
  return env['HOME'] ? join(env['HOME'], '.cache', 'overlaybd-nbd') : null;
}

/**
 * For commands that look at a cache: they make none.
 * @throws OverlaybdError NOT_FOUND if there is none, IO
 */
export async function checkCacheThere(path: string): Promise<void> {
  const where = resolve(path);
  for (const [each, lacks] of [
    [where, 'no such folder'],
    [join(where, LAYOUT), 'there is no cache in this folder'],
  ] as const) {
    try {
      // oxlint-disable-next-line no-await-in-loop
      await bounded(each, () => stat(each));
    } catch (error) {
      if (codeOf(error) !== 'NOT_FOUND') throw error;
      const facts = { path: where };
      throw new OverlaybdError('NOT_FOUND', `${where}: ${lacks}`, { facts, cause: error });
    }
  }
}

/** @returns null for any other file */
export function parseBlobFile(name: string): BlobFileName | null {
  const { digits, nonce, kind } = SUFFIXES.exec(name)?.groups ?? {};
  if (digits === undefined || kind === undefined) return null;
  if ((nonce === undefined) !== (kind === 'blob')) return null;
  return { digits, nonce: nonce ?? null, kind: kind as BlobFileName['kind'] };
}

/** The paths of one cache. */
export class CacheFolder {
  readonly path: string;
  /** One byte of it is locked while the files of a blob are made, renamed or removed. */
  readonly lock: string;
  readonly blobs: string;
  readonly manifests: string;
  readonly refs: string;
  readonly traces: string;
  readonly records: string;

  constructor(path: string) {
    this.path = path;
    const root = join(path, LAYOUT);
    this.lock = join(root, 'lock');
    this.blobs = join(root, 'blobs', 'sha256');
    this.manifests = join(root, 'manifests', 'sha256');
    this.refs = join(root, 'refs');
    this.traces = join(root, 'traces');
    this.records = join(root, 'layers');
  }

  /** All that every cache has, the outer ones first. */
  get folders(): string[] {
    const { path, lock, blobs, manifests, refs, traces, records } = this;
    return [
      path,
      dirname(lock),
      dirname(blobs),
      blobs,
      dirname(manifests),
      manifests,
      refs,
      traces,
      records,
    ];
  }

  /** The folder of the files of a blob. */
  shelf(digits: string): string {
    return join(this.blobs, digits.slice(0, 2));
  }

  data(digits: string, nonce: string): string {
    return join(this.shelf(digits), `${digits}.${nonce}.data`);
  }

  state(digits: string, nonce: string): string {
    return join(this.shelf(digits), `${digits}.${nonce}.state`);
  }

  complete(digits: string): string {
    return join(this.shelf(digits), `${digits}.blob`);
  }

  /** @param digest that was checked. @returns null if it is not a sha256 digest */
  manifest(digest: string): string | null {
    const digits = sha256Digits(digest);
    return digits === null ? null : join(this.manifests, digits);
  }

  /** The "@" tells the file of a tag from the folder of a longer repository. */
  ref(host: string, repository: string, tag: string): string {
    const parts = [host, ...repository.split('/')];
    return join(this.refs, ...parts.map(nameOf), `@${nameOf(tag)}`);
  }
}

/** A part of a name as a file's name: it cannot lead elsewhere, and "+" cannot be in it otherwise. */
function nameOf(part: string): string {
  const safe = part.replaceAll(/[^A-Za-z0-9._-]/g, (c) => `+${c.codePointAt(0)?.toString(16)}+`);
  return /^\.*$/.test(safe) ? `+${safe}` : safe;
}
