// Sources that are read from a file in the end, for the contract suite: the file is written, opened, and
// can be cut and made whole again.
import { closeSync, ftruncateSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { closeFile } from '../../daemon/blob/file-jobs.js';
import { openFile } from '../../daemon/blob/open-file.js';
import type { BlobSource } from '../../daemon/blob/source.js';
import { ReaderFactory } from '../../daemon/image/reader-factory.js';
import type { SourceSpec } from '../../daemon/image/spec.js';
import type { SourceUnderTest } from './blob-source-suite.js';

export interface StoredFile {
  readonly bytes: Buffer;
  /** Bytes at the end of the file that must be cut so that the last plain byte is lost. */
  readonly cut: number;
  /** What is read: the source of a spec, or what is made from the file. */
  readonly of: (file: SourceSpec) => SourceSpec | BlobSource | Promise<SourceSpec | BlobSource>;
}

/** For `blobSourceSuite`. */
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
