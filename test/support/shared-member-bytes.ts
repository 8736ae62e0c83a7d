// The bytes of members that threads of a test share: each number has its own.

/** By number of member and table. */
const made = new Map<number, Buffer>();

/** @returns 1 to 8 units of 4096 bytes, which are not changed; every byte says which member it is */
export function memberBytes(member: number, table = 0): Buffer {
  const number = member * 2 + table + 1;
  let bytes = made.get(number);
  if (!bytes) {
    const word = Buffer.alloc(4);
    word.writeUInt32LE(number);
    bytes = Buffer.alloc(200 + ((member * 5077 + table) % 32_500), word);
    made.set(number, bytes);
  }
  return bytes;
}
