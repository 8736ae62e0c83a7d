// Where the files of an EROFS image on several devices have their contents: as ranges of content sources. The image itself
// is one source, its devices are others. Last bytes of files that follow their inodes begin anywhere, and ranges of a source
// begin at multiples of 4096: they are pieces of a source of their own.

import { exactBytes } from '../../lib/format-size.js';
import type { Effort } from '../../lib/effort.js';
import { packTable } from '../../pieces/packed-table.js';
import { PieceTableBuilder } from '../../pieces/piece-table.js';
import type { PiecesSpec } from '../../pieces/pieces-source.js';
import type { DataRange } from '../../tree/layer-tree.js';
import { MAX_FILE_BYTES } from '../../tree/limits.js';
import { appendRange } from '../../tree/data-ranges.js';
import { chunkForm, chunkPlace, inlineTail } from '../reader/contents.js';
import type { ErofsImage, VisitedEntry } from '../reader/image.js';
import { deviceMask, placed, type DeviceSlot } from './device-table.js';

/** What a content source is: the blocks of the image, the last bytes of files in it, or a device. */
export type DeviceSource = 'image' | 'tails' | DeviceSlot;

export class DeviceContents {
  readonly #image: ErofsImage;
  readonly #effort: Effort;
  readonly #slots: readonly DeviceSlot[];
  readonly #placed: readonly DeviceSlot[];
  /** Bits of the number of a device that count. */
  readonly #mask: number;
  readonly #numbers = new Map<DeviceSource, number>();
  readonly #tails: PieceTableBuilder;
  /** Bytes of the chunk numbers, counted for each inode that has them: overlapping inodes could have any number. */
  #chunkBytes = 0;

  constructor(image: ErofsImage, slots: readonly DeviceSlot[], effort: Effort) {
    this.#image = image;
    this.#slots = slots;
    this.#placed = placed(slots);
    this.#mask = deviceMask(slots);
    this.#tails = new PieceTableBuilder(image.blob, effort);
    this.#effort = effort;
  }

  /** The content sources that files need so far, in the order of their numbers. */
  get sources(): DeviceSource[] {
    return [...this.#numbers.keys()];
  }

  /** How the source `tails` is read from the image. @throws OverlaybdError LIMIT */
  tails(): PiecesSpec {
    const { blob, bytes } = this.#image;
    const table = packTable(this.#tails.finish(bytes.length), blob, this.#effort);
    return { kind: 'pieces', name: blob, table, format: 'erofs' };
  }

  /** @throws OverlaybdError BAD_FORMAT, LIMIT, UNSUPPORTED, and what the effort throws */
  dataOf(entry: VisitedEntry): DataRange[] {
    const { inode } = entry;
    const { size, layout, place } = inode;
    if (size > MAX_FILE_BYTES) {
      throw this.#image.badEntry(
        'LIMIT',
        entry,
        `a file of ${exactBytes(size)} bytes, at most ${MAX_FILE_BYTES}`,
      );
    }
    const data: DataRange[] = [];
    if (size === 0) return data;
    if (layout === 'compressed') {
      throw this.#image.badEntry(
        'UNSUPPORTED',
        entry,
        'compressed contents, in an image on several devices',
      );
    }
    if (layout === 'chunks') {
      this.#addChunks(entry, data);
      return data;
    }
    const { bytes, superblock, blob } = this.#image;
    const tail = inlineTail(inode, superblock, bytes.length, blob);
    const length = size - (tail?.length ?? 0);
    if (length > 0 && !inode.isHole) {
      appendRange(data, this.#rangeOf(entry, 0, place, 0, length));
    }
    if (tail) {
      const offset = this.#tails.align();
      this.#tails.addStored({
        codec: 'stored',
        begin: tail.offset,
        inner: 0,
        length: tail.length,
        digest: null,
        stored: tail.length,
      });
      const source = this.#numberOf('tails');
      appendRange(data, { fileOffset: length, length: tail.length, source, offset });
    }
    return data;
  }

  #addChunks(entry: VisitedEntry, data: DataRange[]): void {
    const { inode } = entry;
    const { bytes, superblock, blob } = this.#image;
    const form = chunkForm(inode, superblock, bytes.length, blob);
    this.#effort.spend(form.count);
    this.#chunkBytes += form.count * form.width;
    if (this.#chunkBytes > bytes.length) {
      const text = `numbers of chunks that other files have, too: more than the ${bytes.length} bytes of the image`;
      throw this.#image.badEntry('BAD_FORMAT', entry, text);
    }
    for (let i = 0; i < form.count; i++) {
      const { device, block } = chunkPlace(form, i, bytes);
      if (block === null) continue;
      const fileOffset = i * form.chunkSize;
      const length = Math.min(form.chunkSize, inode.size - fileOffset);
      appendRange(data, this.#rangeOf(entry, device & this.#mask, block, fileOffset, length));
    }
  }

  /** @param device 0: the image, and the devices that have a place after it */
  #rangeOf(
    entry: VisitedEntry,
    device: number,
    block: number,
    fileOffset: number,
    length: number,
  ): DataRange {
    const { blockSize } = this.#image.superblock;
    const slot = device === 0 ? this.#slotAt(block) : this.#slots[device - 1];
    if (device > 0 && !slot) {
      const most = this.#slots.length;
      throw this.#image.badEntry(
        'BAD_FORMAT',
        entry,
        `contents on device ${device}, and the last is ${most}`,
      );
    }
    const first = slot && device === 0 ? slot.firstBlock : 0;
    const offset = (block - first) * blockSize;
    const end = slot ? slot.blocks * blockSize : this.#image.bytes.length;
    if (offset + length > end) {
      const where = slot ? `device ${slot.number}` : 'the image';
      const text = `contents up to byte ${offset + length} of ${where}, which ends at ${end}`;
      throw this.#image.badEntry('BAD_FORMAT', entry, text);
    }
    return { fileOffset, length, source: this.#numberOf(slot ?? 'image'), offset };
  }

  /** The device that has a block which is numbered as one of the image; undefined: it is in the image. */
  #slotAt(block: number): DeviceSlot | undefined {
    const slots = this.#placed;
    let low = 0;
    let high = slots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((slots[middle] as DeviceSlot).firstBlock <= block) low = middle + 1;
      else high = middle;
    }
    const slot = slots[low - 1];
    return slot && block < slot.firstBlock + slot.blocks ? slot : undefined;
  }

  #numberOf(source: DeviceSource): number {
    const known = this.#numbers.get(source);
    if (known !== undefined) return known;
    const number = this.#numbers.size;
    this.#numbers.set(source, number);
    return number;
  }
}
