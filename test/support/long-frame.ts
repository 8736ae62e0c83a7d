// Frames of zstd with very many plain bytes, made by a stream as `tar c | zstd` makes them: without a content size.
import zstd from 'zstd-napi/binding.js';

const { CCtx, CParameter, EndDirective } = zstd;

/** @param parts plain bytes of the frame, in their order */
export function streamedFrame(parts: Iterable<Buffer>, windowLog = 20): Buffer {
  const context = new CCtx();
  context.setParameter(CParameter.compressionLevel, 1);
  context.setParameter(CParameter.windowLog, windowLog);
  const out: Buffer[] = [];
  const room = Buffer.allocUnsafe(1 << 17);
  const add = (part: Buffer, end: zstd.EndDirective): void => {
    for (let at = 0; ;) {
      const [left, produced, consumed] = context.compressStream2(room, part.subarray(at), end);
      out.push(Buffer.from(room.subarray(0, produced)));
      at += consumed;
      if (end === EndDirective.end ? left === 0 : at === part.length) return;
    }
  };
  for (const part of parts) add(part, EndDirective.continue);
  add(Buffer.alloc(0), EndDirective.end);
  return Buffer.concat(out);
}
