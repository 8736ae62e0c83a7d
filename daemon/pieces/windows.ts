// The bytes in front of a block to which it may refer back. They are kept deflated. Reactors load this file at every
// start: zlib is loaded when it is needed.

/** Fast, since windows are inflated for each cold read. */
const LEVEL = 1;

export function deflateWindow(window: Uint8Array): Buffer {
  const { deflateRawSync } = process.getBuiltinModule('node:zlib');
  return deflateRawSync(window, { level: LEVEL });
}

/** @throws Error of zlib */
export function inflateWindow(deflated: Uint8Array): Buffer {
  const { inflateRawSync } = process.getBuiltinModule('node:zlib');
  return inflateRawSync(deflated);
}
