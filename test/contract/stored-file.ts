// Sources that finally read a file, for the contract suite: the file is written, opened, and can be cut and restored.
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { closeFile } from '../../daemon/blob/file-jobs.js';
import { openFile } from '../../daemon/blob/open-file.js';
import type { BlobSource } from '../../daemon/blob/source.js';
import { ReaderFactory } from '../../daemon/image/disks/reader-factory.js';
import type { SourceSpec } from '../../daemon/image/disks/spec.js';
import type { SourceUnderTest } from './blob-source-suite.js';

export interface StoredFile {
  readonly bytes: Buffer;
  /** How many bytes at the end of the file must be cut to lose the last plain byte. */
  readonly cut: number;
  /** The source that is read: from a spec, or made from the file. */
  readonly of: (file: SourceSpec) => SourceSpec | BlobSource | Promise<SourceSpec | BlobSource>;
}

/** The `make` function for `blobSourceSuite`. */
export function storedFile({ bytes, cut, of }: StoredFile): (t: Test) => Promise<SourceUnderTest> {
  return async (t) => {
    const path = join(t.testdir(), 'blob');
    writeFileSync(path, bytes);
    const fd = openSync(path, 'r+');
    const opened = await openFile(path);
    t.teardown(() => {
      closeSync(fd);
      closeFile(opened.fd);
    });
    const made = await of(opened.spec);
    return {
      source: 'kind' in made ? new ReaderFactory().source(made) : made,
      loss: {
        cut: () => ftruncateSync(fd, bytes.length - cut),
        all: () => ftruncateSync(fd, 0),
        repair: () => {
          ftruncateSync(fd, bytes.length);
          for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes, at, undefined, at);
        },
      },
    };
  };
}
