// Images of RAFS that share chunks with another one: the blob of a chunk dictionary has more than the image needs.
import { createHash } from 'node:crypto';
import { randomBytes } from './pattern.js';
import type { WrittenRafs } from './rafs-writer.js';

const SLOTS = 1408;
const SLOT = 128;
const ENTRY = 256;
const FEATURES = 84;
const CHUNK_DICTIONARY = 0x200;
const STORED_SIZE = 88;

/** Makes the first blob that of a dictionary: other chunks follow those of the image, which its bootstrap does not have. */
export function withDictionary({ bootstrap, blobs, at }: WrittenRafs): WrittenRafs {
  const [[, own] = ['', Buffer.alloc(0)], ...others] = [...blobs];
  const dictionary = Buffer.concat([own, randomBytes(9, 30_000)]);
  const id = createHash('sha256').update(dictionary).digest('hex');
  const changed = Buffer.from(bootstrap);
  changed.write(id, SLOTS, SLOT, 'latin1');
  changed.write(id, at.blobTable, ENTRY, 'latin1');
  const features = changed.readUInt32LE(at.blobTable + FEATURES);
  changed.writeUInt32LE(features | CHUNK_DICTIONARY, at.blobTable + FEATURES);
  changed.writeBigUInt64LE(BigInt(dictionary.length), at.blobTable + STORED_SIZE);
  return { bootstrap: changed, blobs: new Map([[id, dictionary], ...others]), at };
}
