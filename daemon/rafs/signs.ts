// How the forms of RAFS (Nydus) look that can be recognized without reading them. Pure.

/** Bytes of a tar header: the end of a data blob with a table of contents. */
export const TOC_TAIL_SIZE = 512;
const TOC_NAME = 'rafs.blob.toc';
/** RAFS v5: "SFAR" as a little-endian number, then the version. */
const V5_MAGIC = 0x5241_4653;

/** @param tail the last bytes of a blob */
export function hasRafsToc(tail: Buffer): boolean {
  if (tail.length < TOC_TAIL_SIZE) return false;
  const header = tail.subarray(tail.length - TOC_TAIL_SIZE);
  return header.toString('latin1', 0, TOC_NAME.length + 1) === `${TOC_NAME}\0`;
}

/** @param head the first bytes of a blob */
export function looksLikeRafsV5(head: Buffer): boolean {
  return head.length >= 8 && head.readUInt32LE(0) === V5_MAGIC && head.readUInt32LE(4) === 0x500;
}
