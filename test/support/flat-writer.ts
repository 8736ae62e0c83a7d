// Writes flatbuffers: tables with their fields in order, null for a field that is absent.
export type FlatValue =
  | null
  | { i8: number }
  | { i32: number }
  | { u32: number }
  | { i64: number | bigint }
  | { bytes: Uint8Array | string }
  | { table: readonly FlatValue[] }
  | { tables: readonly (readonly FlatValue[])[] }
  | { texts: readonly string[] };

/** Texts are byte strings. */
export function writeFlat(root: readonly FlatValue[]): Buffer {
  const writer = new FlatWriter();
  writer.u32(0);
  const position = writer.table(root);
  writer.bytes.writeUInt32LE(position, 0);
  return Buffer.from(writer.bytes);
}

function widthOf(value: FlatValue): number {
  if (value === null) return 0;
  if ('i8' in value) return 1;
  return 'i64' in value ? 8 : 4;
}

class FlatWriter {
  /** What is written is at its start: it has room for more, because a list of files has a hundred thousand tables. */
  #room = Buffer.alloc(1024);
  #size = 0;

  get bytes(): Buffer {
    return this.#room.subarray(0, this.#size);
  }

  u32(value: number): void {
    const four = Buffer.alloc(4);
    four.writeUInt32LE(value);
    this.#add(four);
  }

  /** @returns its position */
  table(fields: readonly FlatValue[]): number {
    let size = 4;
    const places = fields.map((value) => {
      const width = widthOf(value);
      if (width === 0) return 0;
      size = Math.ceil(size / width) * width;
      size += width;
      return size - width;
    });
    const vtable = Buffer.alloc(4 + 2 * fields.length);
    vtable.writeUInt16LE(vtable.length, 0);
    vtable.writeUInt16LE(size, 2);
    for (const [i, place] of places.entries()) vtable.writeUInt16LE(place, 4 + 2 * i);
    this.#align();
    const before = this.#size;
    this.#add(vtable);
    this.#align();
    const position = this.#size;
    this.#add(Buffer.alloc(size));
    this.bytes.writeInt32LE(position - before, position);
    for (const [i, value] of fields.entries()) this.#field(position + (places[i] as number), value);
    return position;
  }

  #field(at: number, value: FlatValue): void {
    if (value === null) return;
    if ('i8' in value) this.bytes.writeInt8(value.i8, at);
    else if ('i32' in value) this.bytes.writeInt32LE(value.i32, at);
    else if ('u32' in value) this.bytes.writeUInt32LE(value.u32, at);
    else if ('i64' in value) this.bytes.writeBigInt64LE(BigInt(value.i64), at);
    else this.#refer(at, this.#far(value));
  }

  #far(value: Extract<FlatValue, object>): number {
    if ('table' in value) return this.table(value.table);
    if ('tables' in value) return this.#vector(value.tables, (each) => this.table(each));
    if ('texts' in value) return this.#vector(value.texts, (each) => this.#text(each));
    return this.#text((value as { bytes: Uint8Array | string }).bytes);
  }

  #vector<T>(items: readonly T[], write: (item: T) => number): number {
    this.#align();
    const position = this.#size;
    this.#add(Buffer.alloc(4 + 4 * items.length));
    this.bytes.writeUInt32LE(items.length, position);
    for (const [i, item] of items.entries()) this.#refer(position + 4 + 4 * i, write(item));
    return position;
  }

  #text(text: Uint8Array | string): number {
    const bytes = typeof text === 'string' ? Buffer.from(text, 'latin1') : text;
    this.#align();
    const position = this.#size;
    this.u32(bytes.length);
    this.#add(bytes);
    this.#add(Buffer.alloc(1));
    return position;
  }

  #refer(at: number, position: number): void {
    this.bytes.writeUInt32LE(position - at, at);
  }

  #align(): void {
    this.#add(Buffer.alloc((8 - (this.#size % 8)) % 8));
  }

  #add(bytes: Uint8Array): void {
    const size = this.#size + bytes.length;
    if (size > this.#room.length) {
      this.#room = Buffer.concat([this.bytes, Buffer.alloc(2 * size - this.#size)]);
    }
    this.#room.set(bytes, this.#size);
    this.#size = size;
  }
}
