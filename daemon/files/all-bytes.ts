// A file from its start to its end, holes as zeros: what `cat` prints.

import { shownInImage } from '../tree/names.js';
import { errorOf } from '../lib/fault.js';
import type { ImageFile } from './image-file.js';
import { TYPE_NAMES } from './texts.js';

const ZEROS = Buffer.alloc(64 * 1024);

/**
 * The bytes of a regular file in pieces; each is valid until the next one is asked for.
 * @param path for messages
 * @throws OverlaybdError UNSUPPORTED for another type of file, and what reading throws
 */
export async function* allBytes(path: string, file: ImageFile): AsyncGenerator<Buffer> {
  const { type, size } = await file.stat();
  if (type !== 'reg') {
    const facts = { path: shownInImage(path), expected: 'a regular file', got: TYPE_NAMES[type] };
    throw errorOf('UNSUPPORTED', facts, `not ${facts.expected}: a ${facts.got}`);
  }
  let at = 0;
  for await (const { offset, bytes } of file.contents()) {
    yield* zeros(offset - at);
    yield bytes;
    at = offset + bytes.length;
  }
  yield* zeros(size - at);
}

function* zeros(count: number): Generator<Buffer> {
  for (let left = count; left > 0; left -= ZEROS.length) yield ZEROS.subarray(0, left);
}
