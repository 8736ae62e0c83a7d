// Opens a path as a file source. The only place that opens layer files.

import { OverlaybdError } from '../errors.js';
import { closeFile, openPath, type OpenedFile } from './file-jobs.js';
import { FileSource, type FileSourceSpec } from './file-source.js';
import { readFully } from './source.js';

/** A source together with the descriptor that its owner must give to `closeFile`. */
export interface OpenFile extends OpenedFile {
  readonly source: FileSource;
  /** How to make the source again, in any thread. */
  readonly spec: FileSourceSpec;
}

/**
 * Opens a regular file or a block device read-only, without holding this thread.
 * @throws OverlaybdError NOT_FOUND, IO, or UNSUPPORTED for directories, pipes and the like
 */
export async function openFile(path: string): Promise<OpenFile> {
  const opened = await openPath(path);
  const { fd, size } = opened;
  const spec: FileSourceSpec = { kind: 'file', name: path, fd, base: 0, size };
  return { ...opened, spec, source: new FileSource(spec) };
}

/**
 * Reads a whole file that is small.
 * @param most bytes
 * @throws OverlaybdError as {@link openFile} does, LIMIT when it is longer
 */
export async function readSmallFile(path: string, most: number): Promise<Buffer> {
  const { fd, size, source } = await openFile(path);
  try {
    if (size > most) {
      throw new OverlaybdError('LIMIT', `${path}: a file of ${size} bytes, at most ${most}`);
    }
    return await readFully(source, 0, size);
  } finally {
    closeFile(fd);
  }
}
