// A minimal NBD client: opens an export and reads, one request at a time. It checks servers and times their
// start; it is not for load, nor a test of the protocol.
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import {
  IHAVEOPT_HIGH,
  IHAVEOPT_LOW,
  NBD_CMD,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO,
  NBD_OPT,
  NBD_REP,
  NBD_REQUEST_MAGIC,
  REQUEST_SIZE,
  SIMPLE_REPLY_SIZE,
} from '../../daemon/nbd/constants.js';

const GREETING_SIZE = 18;
const OPTION_REPLY_SIZE = 20;

export class NbdClient {
  /** Bytes of the export. */
  size = 0;
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer, undefined>;
  #received: Buffer = Buffer.alloc(0);

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  /**
   * @param socket path of a Unix socket
   * @param name of the export; the default export if left out
   * @throws Error with the code of a system call if no server listens, or that describes a later failure
   */
  static async open(socket: string, name = ''): Promise<NbdClient> {
    const connection = createConnection(socket);
    await once(connection, 'connect');
    const client = new NbdClient(connection);
    await client.#shakeHands(name);
    return client;
  }

  /** @throws Error if the server refuses or hangs up */
  async read(offset: number, length: number): Promise<Buffer> {
    const request = Buffer.alloc(REQUEST_SIZE);
    request.writeUInt32BE(NBD_REQUEST_MAGIC, 0);
    request.writeUInt16BE(NBD_CMD.READ, 6);
    request.writeBigUInt64BE(BigInt(offset), 16);
    request.writeUInt32BE(length, 24);
    this.#socket.write(request);
    const reply = await this.#take(SIMPLE_REPLY_SIZE);
    const error = reply.readUInt32BE(4);
    if (error !== 0) throw new Error(`nbd: read of ${length} bytes at ${offset}: error ${error}`);
    return this.#take(length);
  }

  close(): void {
    const request = Buffer.alloc(REQUEST_SIZE);
    request.writeUInt32BE(NBD_REQUEST_MAGIC, 0);
    request.writeUInt16BE(NBD_CMD.DISC, 6);
    this.#socket.end(request);
    // NBD_CMD_DISC has no answer, and a server may reset the connection instead of ending it.
    this.#socket.on('error', () => undefined);
    void this.#chunks.return?.();
  }

  async #shakeHands(name: string): Promise<void> {
    await this.#take(GREETING_SIZE);
    const hello = Buffer.alloc(4);
    hello.writeUInt32BE(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES);
    // Length, name, and no information is requested.
    const data = Buffer.alloc(4 + Buffer.byteLength(name) + 2);
    data.writeUInt32BE(Buffer.byteLength(name), 0);
    data.write(name, 4);
    const option = Buffer.alloc(16);
    option.writeUInt32BE(IHAVEOPT_HIGH, 0);
    option.writeUInt32BE(IHAVEOPT_LOW, 4);
    option.writeUInt32BE(NBD_OPT.GO, 8);
    option.writeUInt32BE(data.length, 12);
    this.#socket.write(Buffer.concat([hello, option, data]));
    for (;;) {
      const header = await this.#take(OPTION_REPLY_SIZE);
      const type = header.readUInt32BE(12);
      const payload = await this.#take(header.readUInt32BE(16));
      if (type === NBD_REP.ACK) return;
      if (type !== NBD_REP.INFO) throw new Error(`nbd: option go: reply 0x${type.toString(16)}`);
      if (payload.readUInt16BE(0) === NBD_INFO.EXPORT) {
        this.size = Number(payload.readBigUInt64BE(2));
      }
    }
  }

  async #take(length: number): Promise<Buffer> {
    // Not `read` and `readable`: with a part of the bytes they would loop without end.
    while (this.#received.length < length) {
      const { done, value } = await this.#chunks.next();
      if (done) throw new Error('nbd: the server hung up');
      this.#received = Buffer.concat([this.#received, value]);
    }
    const bytes = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return bytes;
  }
}
