// Encodes the messages of the server in the handshake. Pure.

import { viewOf, writeU64 } from '../lib/bytes.js';
import {
  IHAVEOPT_HIGH,
  IHAVEOPT_LOW,
  NBDMAGIC_HIGH,
  NBDMAGIC_LOW,
  NBD_INFO,
  NBD_OPT,
  NBD_REP,
  OPTION_REPLY_MAGIC_HIGH,
  OPTION_REPLY_MAGIC_LOW,
} from './constants.js';
import type { NbdExport } from './export.js';
import { MAX_REQUEST_LENGTH } from './limits.js';

/** Zeros that old clients expect after the answer to NBD_OPT_EXPORT_NAME. */
const EXPORT_NAME_PADDING = 124;

export function greeting(flags: number): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeUInt32BE(NBDMAGIC_HIGH, 0);
  bytes.writeUInt32BE(NBDMAGIC_LOW, 4);
  bytes.writeUInt32BE(IHAVEOPT_HIGH, 8);
  bytes.writeUInt32BE(IHAVEOPT_LOW, 12);
  bytes.writeUInt16BE(flags, 16);
  return bytes;
}

export function optionReply(option: number, reply: number, data: Buffer): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32BE(OPTION_REPLY_MAGIC_HIGH, 0);
  head.writeUInt32BE(OPTION_REPLY_MAGIC_LOW, 4);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(reply, 12);
  head.writeUInt32BE(data.length, 16);
  return Buffer.concat([head, data]);
}

/** The answer to NBD_OPT_EXPORT_NAME, which has no reply header. */
export function exportNameReply(found: NbdExport, flags: number, noZeroes: boolean): Buffer {
  const bytes = Buffer.alloc(10 + (noZeroes ? 0 : EXPORT_NAME_PADDING));
  writeU64(viewOf(bytes), 0, found.disk.size);
  bytes.writeUInt16BE(flags, 8);
  return bytes;
}

/** One export in the answer to NBD_OPT_LIST, with its description as the free text. */
export function serverReply(found: NbdExport): Buffer {
  const name = Buffer.from(found.name);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(name.length, 0);
  const data = Buffer.concat([length, name, Buffer.from(found.description)]);
  return optionReply(NBD_OPT.LIST, NBD_REP.SERVER, data);
}

export function exportInfo(found: NbdExport, flags: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16BE(NBD_INFO.EXPORT, 0);
  writeU64(viewOf(bytes), 2, found.disk.size);
  bytes.writeUInt16BE(flags, 10);
  return bytes;
}

export function blockSizeInfo(found: NbdExport): Buffer {
  const bytes = Buffer.alloc(14);
  bytes.writeUInt16BE(NBD_INFO.BLOCK_SIZE, 0);
  bytes.writeUInt32BE(found.blockSizes.minimum, 2);
  bytes.writeUInt32BE(found.blockSizes.preferred, 6);
  bytes.writeUInt32BE(MAX_REQUEST_LENGTH, 10);
  return bytes;
}

/** A metadata context: its name, and its id, which has no meaning in a list. */
export function metaContextReply(option: number, id: number, name: string): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(id, 0);
  return optionReply(option, NBD_REP.META_CONTEXT, Buffer.concat([head, Buffer.from(name)]));
}

export function textInfo(info: number, text: string): Buffer {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(info, 0);
  return Buffer.concat([head, Buffer.from(text)]);
}
