// Contents of a directory: names in order over all of its blocks.
import { demand } from './demand.js';

export interface Name {
  name: string;
  nid: number;
  type: number;
}

export function readDirectory(contents: Buffer, what: string): Name[] {
  const names: Name[] = [];
  demand(contents.length > 0, `${what}: an empty directory has "." and ".."`);
  for (let begin = 0; begin < contents.length; begin += 4096) {
    readBlock(contents.subarray(begin, begin + 4096), what, names);
  }
  for (const [i, { name }] of names.entries()) {
    const before = names[i - 1]?.name;
    if (before === undefined) continue;
    const order = Buffer.compare(Buffer.from(before, 'latin1'), Buffer.from(name, 'latin1'));
    demand(order < 0, `${what}: ${JSON.stringify(before)} before ${JSON.stringify(name)}`);
  }
  return names;
}

function readBlock(block: Buffer, what: string, names: Name[]): void {
  demand(block.length >= 12, `${what}: a block of ${block.length} bytes`);
  const first = block.readUInt16LE(8);
  demand(
    first >= 12 && first % 12 === 0 && first < block.length,
    `${what}: first name at ${first}`,
  );
  let expected = first;
  for (let at = 0; at < first; at += 12) {
    const begin = block.readUInt16LE(at + 8);
    demand(begin === expected, `${what}: a name at ${begin}, expected at ${expected}`);
    let end = at + 12 < first ? block.readUInt16LE(at + 12 + 8) : block.indexOf(0, begin);
    if (end < 0) end = block.length;
    demand(end > begin && end - begin <= 255 && end <= block.length, `${what}: ${begin} to ${end}`);
    const name = block.toString('latin1', begin, end);
    demand(!/[\0/]/.test(name), `${what}: name ${JSON.stringify(name)}`);
    demand(block[at + 11] === 0, `${what}: reserved byte`);
    names.push({ name, nid: Number(block.readBigUInt64LE(at)), type: block[at + 10] as number });
    expected = end;
  }
  const isZero = block.subarray(expected).every((byte) => byte === 0);
  demand(isZero, `${what}: bytes after the last name`);
}
