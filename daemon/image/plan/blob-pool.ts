// Open blobs, shared by every image that has them: one descriptor, one jump table and one reading of the
// edges a blob, however many exports use it. Counted, so that the last user closes it.

import type { BlobRef } from '../../blob/blob-ref.js';
import { EdgeSource } from '../../blob/edge-source.js';
import type { Edges } from '../../blob/edges.js';
import { closeFile } from '../../blob/file-jobs.js';
import { NotedSource } from '../../blob/noted-source.js';
import { openBlob } from '../../blob/open-blob.js';
import { readFully } from '../../blob/source.js';
import { throwProblem, type ProblemSink } from '../../errors.js';
import type { Effort } from '../../lib/effort.js';
import type { Unwrapped } from '../formats/format.js';
import { unwrap } from '../formats/formats.js';
import type { ReaderFactory } from '../disks/reader-factory.js';
import { noImages, type RemoteImages } from '../../registry/remote.js';
import { cachedOf, fileOf, type SourceSpec } from '../disks/spec.js';

/**
 * Bytes of edges in memory at most, of all blobs that are being opened by a thread. When there are more,
 * they are forgotten, and what an opening still needs is read again, or piece by piece.
 */
const MAX_KEPT_EDGES = 64 << 20;

/** A blob that one thread's pool can pass to that of another. */
export interface BlobParts {
  readonly ref: BlobRef;
  /** The same blob opened twice has the same. */
  readonly key: string;
  /** Of the blob with its wrappers. Its file is open. */
  readonly raw: SourceSpec;
  /** Of what is inside. */
  readonly spec: SourceSpec;
}

/** A blob that the holder must release, once. */
export interface PooledBlob {
  readonly ref: BlobRef;
  readonly key: string;
  readonly raw: SourceSpec;
  readonly size: number;
  readonly isDevice: boolean;
  /** First and last bytes: read once, and kept until every holder that opens an image has forgotten them. */
  edges(): Promise<Edges>;
  /** Reads bytes of the blob as it is. @throws OverlaybdError if they cannot be read */
  read(offset: number, length: number): Promise<Buffer>;
  /**
   * Removes the wrappers, once for all holders; of a plain blob there are none.
   * @param sink gets broken rules that leave the blob readable; only that of the first caller is used
   * @throws OverlaybdError if a wrapper is broken, and what `effort` and `sink` throw
   */
  content(effort: Effort, sink?: ProblemSink): Promise<Unwrapped>;
  /**
   * Forgets all that was read of the blob, and removes the wrappers again, for all holders.
   * @throws OverlaybdError as `content` does
   */
  reopen(effort: Effort, sink?: ProblemSink): Promise<Unwrapped>;
  /**
   * Fetches the bytes that openings have read of a blob of a registry once more, from the registry itself, and forgets all that was
   * read: a mirror, or an earlier answer that the cache has kept, may have been wrong.
   * @returns false: there are none, or they are the registry's own
   * @throws OverlaybdError what fetching throws
   */
  refetch(): Promise<boolean>;
  forgetEdges(): void;
  release(): void;
}

/** Gets every descriptor that a pool opens and closes: its thread may be ended at any time. */
export interface DescriptorWatch {
  opened(fd: number): void;
  closed(fd: number): void;
}

interface Entry {
  readonly ref: BlobRef;
  readonly key: string;
  readonly raw: SourceSpec;
  readonly isDevice: boolean;
  readonly isPlain: boolean;
  /** Reads the blob while images are opened. */
  readonly source: EdgeSource;
  /** Of a blob of a registry: what `source` is around. */
  readonly noted: NotedSource | null;
  content: Promise<Unwrapped> | null;
  /** The content is known: a caller need not wait for it. */
  isOpened: boolean;
  users: number;
  /** Users that are opening an image, and may need the edges. */
  openers: number;
}

export class BlobPool {
  readonly #readers: ReaderFactory;
  readonly #remote: () => RemoteImages;
  readonly #watch: DescriptorWatch | null;
  readonly #entries = new Map<string, Entry>();
  /** Those whose edges are in memory: of all blobs, the few that are being opened. */
  readonly #withEdges = new Set<EdgeSource>();

  /** @param remote this thread's line to the fetcher; called for blobs of registries only */
  constructor(
    readers: ReaderFactory,
    remote: () => RemoteImages = noImages,
    watch: DescriptorWatch | null = null,
  ) {
    this.#readers = readers;
    this.#remote = remote;
    this.#watch = watch;
  }

  /**
   * Opens a blob, or takes it from the pool.
   * @param isPlain for the files of uppers, which have no wrappers ("Wrappers" in docs/formats.md)
   * @throws OverlaybdError if it cannot be opened
   */
  async open(ref: BlobRef, isPlain = false): Promise<PooledBlob> {
    const { spec: raw, identity, isDevice } = await openBlob(ref, this.#remote);
    this.#opened(raw);
    const key = `${isPlain ? 'plain' : 'wrapped'} ${identity}`;
    const known = this.#entries.get(key);
    if (!known) return this.#hold(this.#add({ ref, key, raw, isDevice, isPlain }), true);
    this.#close(raw);
    return this.#hold(known, true);
  }

  /**
   * Whether a plain blob that was opened is still what its name stands for, with the bytes that it had, as far as the system
   * tells.
   */
  async isUnchanged({ ref, key }: Pick<PooledBlob, 'ref' | 'key'>): Promise<boolean> {
    try {
      const blob = await this.open(ref, true);
      blob.release();
      return blob.key === key;
    } catch {
      // Whoever opens it gets the reason.
      return false;
    }
  }

  /** Takes a blob that another thread has opened; if the pool has it already, closes the new one. */
  adopt({ ref, key, raw, spec }: BlobParts): PooledBlob {
    this.#opened(raw);
    const known = this.#entries.get(key);
    if (known?.isOpened && known.openers === 0) {
      this.#close(raw);
      return this.#hold(known, false);
    }
    // An entry that is still being opened may fail, or turn out to be unwrapped by wrong bytes of a registry: its holders keep
    // it, and the new one is shared.
    const entry = this.#add({ ref, key, raw, isDevice: false, isPlain: raw === spec });
    const source = this.#readers.source(spec);
    entry.content = Promise.resolve({ spec, source, tar: null, zfile: null });
    entry.isOpened = true;
    return this.#hold(entry, false);
  }

  #add(parts: Pick<Entry, 'ref' | 'key' | 'raw' | 'isDevice' | 'isPlain'>): Entry {
    const bare = this.#readers.source(parts.raw);
    const noted = cachedOf(parts.raw) && new NotedSource(bare);
    const source = new EdgeSource(noted ?? bare);
    const entry = { ...parts, source, noted, content: null, isOpened: false, users: 0, openers: 0 };
    this.#entries.set(parts.key, entry);
    return entry;
  }

  #hold(entry: Entry, isOpening: boolean): PooledBlob {
    const { ref, key, raw, isDevice, source } = entry;
    entry.users++;
    let needsEdges = isOpening;
    if (needsEdges) entry.openers++;
    const forgetEdges = (): void => {
      if (!needsEdges) return;
      needsEdges = false;
      if (--entry.openers > 0) return;
      this.#forgetEdges(source);
      entry.noted?.forget();
    };
    let isReleased = false;
    return {
      ref,
      key,
      raw,
      size: source.size,
      isDevice,
      edges: () => this.#edges(entry),
      read: (offset, length) => readFully(source, offset, length),
      content: (effort, sink = throwProblem) => this.#content(entry, effort, sink),
      reopen: (effort, sink = throwProblem) => {
        this.#forgetEdges(source);
        entry.content = null;
        return this.#content(entry, effort, sink);
      },
      refetch: () => this.#refetch(entry),
      forgetEdges,
      release: () => {
        if (isReleased) return;
        isReleased = true;
        forgetEdges();
        if (--entry.users > 0) return;
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
        this.#forgetEdges(source);
        this.#close(raw);
      },
    };
  }

  async #content(entry: Entry, effort: Effort, sink: ProblemSink): Promise<Unwrapped> {
    for (;;) {
      const isOurs = entry.content === null;
      const content = (entry.content ??= this.#unwrap(entry, effort, sink));
      try {
        const unwrapped = await content;
        entry.isOpened = true;
        return unwrapped;
      } catch (error) {
        if (entry.content === content) entry.content = null;
        // The effort of another opening may have ended it: ours may be enough.
        if (isOurs) throw error;
      }
    }
  }

  async #unwrap(entry: Entry, effort: Effort, sink: ProblemSink): Promise<Unwrapped> {
    const { source, raw, isPlain } = entry;
    const whole: Unwrapped = { spec: raw, source, tar: null, zfile: null };
    if (isPlain) return whole;
    await this.#edges(entry);
    const inner = await unwrap(whole, { readers: this.#readers, effort, sink });
    this.#boundEdges();
    return inner;
  }

  async #refetch(entry: Entry): Promise<boolean> {
    const { raw, source, noted } = entry;
    const cached = cachedOf(raw);
    const runs = noted?.runs() ?? [];
    if (!cached || runs.length === 0) return false;
    if (!(await this.#remote().doubt(cached.blob, runs))) return false;
    this.#forgetEdges(source);
    entry.content = null;
    return true;
  }

  async #edges(entry: Entry): Promise<Edges> {
    const { source } = entry;
    const edges = await source.edges();
    // A released blob needs none; its last holder may have gone while they were read.
    if (entry.users > 0) this.#withEdges.add(source);
    this.#boundEdges();
    return edges;
  }

  #boundEdges(): void {
    let kept = 0;
    for (const source of this.#withEdges) kept += source.kept;
    if (kept > MAX_KEPT_EDGES) for (const source of this.#withEdges) this.#forgetEdges(source);
  }

  #forgetEdges(source: EdgeSource): void {
    source.forget();
    this.#withEdges.delete(source);
  }

  #opened(raw: SourceSpec): void {
    const file = fileOf(raw);
    if (file) this.#watch?.opened(file.fd);
  }

  #close(raw: SourceSpec): void {
    const cached = cachedOf(raw);
    if (cached) this.#remote().close(cached.blob);
    const file = fileOf(raw);
    if (!file) return;
    this.#watch?.closed(file.fd);
    closeFile(file.fd);
  }
}
