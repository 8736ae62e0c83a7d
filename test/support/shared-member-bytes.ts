// The bytes of members that threads of a test share: each number has its own.

/** @returns 1 to 8 units of 4096 bytes; every byte says which member it is */
export function memberBytes(member: number, table = 0): Buffer {
  const bytes = Buffer.alloc(200 + ((member * 5077 + table) % 32_500));
  const word = Buffer.alloc(4);
  word.writeUInt32LE(member * 2 + table + 1);
  return bytes.fill(word);
}
