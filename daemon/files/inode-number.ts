// Numbers of inodes as keys: most fit a number of JavaScript, those of 64 bits do not.

/** A bigint if it is 2^53 or more, as FUSE may have it: erofsfuse has numbers of 64 bits for files in a metabox. */
export type InodeNumber = number | bigint;

/**
 * One number for each inode, that maps and sets can have as keys.
 * @param inode of 64 bits, whose highest is the sign in the statistics that Node gives
 */
export function inodeNumber(inode: bigint): InodeNumber {
  const unsigned = BigInt.asUintN(64, inode);
  return unsigned > BigInt(Number.MAX_SAFE_INTEGER) ? unsigned : Number(unsigned);
}
