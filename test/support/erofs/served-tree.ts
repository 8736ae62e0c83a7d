// The tree of a device that a daemon serves, read by an NBD client.
import { RawNbdClient } from '../nbd-client.js';
import { readErofs } from './reader.js';
import { treeLines, type TreeLine } from './tree-lines.js';

const BLOCK = 4096;
/** Of the superblock: how many blocks there are. */
const BLOCKS_AT = 1024 + 36;
const PIECE = 4 << 20;

/** @param name of the export; '' is the default one */
export async function servedTree(
  unix: Parameters<typeof RawNbdClient.open>[0],
  name = '',
): Promise<TreeLine[]> {
  const client = await RawNbdClient.open(unix, name);
  const begin = await client.read(0, BLOCK);
  const size = BLOCK * begin.readUInt32LE(BLOCKS_AT);
  const pieces: Buffer[] = [];
  for (let at = 0; at < size; at += PIECE) {
    pieces.push(await client.read(at, Math.min(PIECE, size - at)));
  }
  await client.disconnect();
  const bytes = Buffer.concat(pieces);
  return treeLines(readErofs((at, n) => bytes.subarray(at, at + n), bytes.length).entries);
}
