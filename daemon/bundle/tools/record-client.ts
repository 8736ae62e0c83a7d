// The client of the run that records the code caches: asks for the export as the kernel's client does, reads once,
// and stays until the daemon ends.

import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import {
  IHAVEOPT_HIGH,
  IHAVEOPT_LOW,
  NBD_CMD,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_OPT,
  NBD_REP,
  NBD_REQUEST_MAGIC,
  OPTION_SIZE,
  REQUEST_SIZE,
  SIMPLE_REPLY_SIZE,
} from '../../nbd/constants.js';

const TIMEOUT_MS = 60_000;
const GREETING_SIZE = 18;
const OPTION_REPLY_SIZE = 20;
const READ_SIZE = 4096;

/**
 * @param answered called after the read; the daemon has to end then
 * @returns whether the read was answered
 */
export async function readOnce(path: string, answered: () => Promise<void>): Promise<boolean> {
  const socket = createConnection(path);
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy());
  // A reactor thread that cannot start closes its connection; the log says why.
  socket.on('error', () => undefined);
  try {
    const take = taker(socket);
    await take(GREETING_SIZE);
    socket.write(Buffer.concat([clientFlags(), optionGo()]));
    for (;;) {
      const head = await take(OPTION_REPLY_SIZE);
      await take(head.readUInt32BE(16));
      const type = head.readUInt32BE(12);
      if (type === NBD_REP.ACK) break;
      if (type !== NBD_REP.INFO) return false;
    }
    socket.write(readRequest());
    const reply = await take(SIMPLE_REPLY_SIZE);
    if (reply.readUInt32BE(4) !== 0) return false;
    await take(READ_SIZE);
    const closed = once(socket, 'close');
    await Promise.all([closed, answered(), take(1).catch(() => undefined)]);
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function clientFlags(): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
  return bytes;
}

/** Of the default export, whose name is empty, without requests for information. */
function optionGo(): Buffer {
  const bytes = Buffer.alloc(OPTION_SIZE + 6);
  bytes.writeUInt32BE(IHAVEOPT_HIGH, 0);
  bytes.writeUInt32BE(IHAVEOPT_LOW, 4);
  bytes.writeUInt32BE(NBD_OPT.GO, 8);
  bytes.writeUInt32BE(6, 12);
  return bytes;
}

/** At offset 0. */
function readRequest(): Buffer {
  const bytes = Buffer.alloc(REQUEST_SIZE);
  bytes.writeUInt32BE(NBD_REQUEST_MAGIC, 0);
  bytes.writeUInt16BE(NBD_CMD.READ, 6);
  bytes.writeUInt32BE(READ_SIZE, 24);
  return bytes;
}

/** Takes as many bytes as are asked for. It throws if the connection ends before. */
function taker(socket: Socket): (length: number) => Promise<Buffer> {
  const incoming = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held = Buffer.alloc(0);
  return async (length) => {
    while (held.length < length) {
      const next = await incoming.next();
      if (next.done === true) throw new Error('the connection has ended');
      held = Buffer.concat([held, next.value]);
    }
    const taken = held.subarray(0, length);
    held = held.subarray(length);
    return taken;
  };
}
