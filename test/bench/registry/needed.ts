// Which bytes of the disk a work needs, from the log of a server that notes every read.
import { readFileSync } from 'node:fs';

/** Inclusive first, exclusive end; sorted, without overlaps. */
export interface Piece {
  readonly begin: number;
  readonly end: number;
}

const READ = / Read .*offset=0x([0-9a-f]+) count=0x([0-9a-f]+) /;

/** @param path of the log of nbdkit's filter `log` */
export function piecesRead(path: string): Piece[] {
  return joined(
    readFileSync(path, 'utf8')
      .split('\n')
      .flatMap((line) => {
        const [, offset, count] = READ.exec(line) ?? [];
        if (offset === undefined || count === undefined) return [];
        const begin = Number.parseInt(offset, 16);
        return [{ begin, end: begin + Number.parseInt(count, 16) }];
      }),
  );
}

export function joined(pieces: readonly Piece[]): Piece[] {
  const result: { begin: number; end: number }[] = [];
  for (const { begin, end } of pieces.toSorted((a, b) => a.begin - b.begin)) {
    const last = result.at(-1);
    if (last && begin <= last.end) last.end = Math.max(last.end, end);
    else result.push({ begin, end });
  }
  return result;
}

export function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((sum, { begin, end }) => sum + end - begin, 0);
}
