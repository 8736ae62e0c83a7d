// A raw NBD client that sends whatever a test wants and trusts no answer; not a client for real use.
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import {
  NBD_CMD,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO,
  NBD_OPT,
  NBD_REP,
} from '../../daemon/nbd/constants.js';

const OPTION_MAGIC = Buffer.from('IHAVEOPT', 'latin1');
const GREETING = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT', 'latin1'), Buffer.from([0, 3])]);
const REPLY_MAGIC = Buffer.from('0003e889045565a9', 'hex');
const DEFAULT_TIMEOUT = 120_000;

export interface RawRequest {
  type?: number;
  flags?: number;
  cookie?: bigint;
  offset?: bigint | number;
  length?: number;
  magic?: number;
}

export interface OptionReply {
  option: number;
  type: number;
  data: Buffer;
}

export interface ExportFacts {
  size: number;
  flags: number;
  /** Minimum, preferred, maximum; bytes. */
  blockSizes?: [number, number, number];
  name?: string;
  description?: string;
}

/** Bytes of an option as a client sends it; `claimed` is the length in its header. */
export function optionBytes(option: number, data: Buffer, claimed = data.length): Buffer {
  const head = Buffer.alloc(16);
  OPTION_MAGIC.copy(head);
  head.writeUInt32BE(option, 8);
  head.writeUInt32BE(claimed, 12);
  return Buffer.concat([head, data]);
}

/** The data of NBD_OPT_INFO and NBD_OPT_GO. */
export function infoData(name: string | Buffer, infos: readonly number[] = []): Buffer {
  const bytes = Buffer.from(name);
  const out = Buffer.alloc(4 + bytes.length + 2 + 2 * infos.length);
  out.writeUInt32BE(bytes.length, 0);
  bytes.copy(out, 4);
  out.writeUInt16BE(infos.length, 4 + bytes.length);
  for (const [i, info] of infos.entries()) out.writeUInt16BE(info, 6 + bytes.length + 2 * i);
  return out;
}

export function requestBytes(request: RawRequest): Buffer {
  const { type = NBD_CMD.READ, flags = 0, cookie = 0n, offset = 0, length = 0 } = request;
  const out = Buffer.alloc(28);
  out.writeUInt32BE(request.magic ?? 0x25609513, 0);
  out.writeUInt16BE(flags, 4);
  out.writeUInt16BE(type, 6);
  out.writeBigUInt64BE(cookie, 8);
  out.writeBigUInt64BE(BigInt(offset), 16);
  out.writeUInt32BE(length, 24);
  return out;
}

export function clientFlags(flags = NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(flags, 0);
  return out;
}

/** All bytes of a client that reads once from the export `name` and disconnects. */
export function wholeSession(name: string, offset: number, length: number): Buffer {
  return Buffer.concat([
    clientFlags(),
    optionBytes(NBD_OPT.LIST, Buffer.alloc(0)),
    optionBytes(NBD_OPT.GO, infoData(name, [NBD_INFO.BLOCK_SIZE])),
    requestBytes({ cookie: 1n, offset, length }),
    requestBytes({ type: NBD_CMD.DISC }),
  ]);
}

export class RawNbdClient {
  readonly socket: Socket;
  #end: 'open' | 'end' | 'reset' = 'open';
  #cookie = 1n;

  private constructor(socket: Socket) {
    this.socket = socket;
    // Without a reader Node.js takes a little from the kernel and leaves the rest there.
    socket.on('readable', () => undefined);
    socket.on('end', () => {
      if (this.#end === 'open') this.#end = 'end';
    });
    socket.on('error', () => {
      this.#end = 'reset';
    });
  }

  static async connect(to: NetConnectOpts): Promise<RawNbdClient> {
    const socket = connect({ ...to, allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    socket.removeAllListeners('error');
    return new RawNbdClient(socket);
  }

  /** On a socket that is already connected. */
  static over(socket: Socket): RawNbdClient {
    return new RawNbdClient(socket);
  }

  /** Connects and completes the handshake. */
  static async open(to: NetConnectOpts, name = ''): Promise<RawNbdClient> {
    const client = await RawNbdClient.connect(to);
    await client.handshake();
    await client.go(name);
    return client;
  }

  /** Sends without waiting until the daemon receives it. */
  send(bytes: Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(bytes);
  }

  /** Waits until the kernel has taken all sent bytes, or the connection has ended. */
  async flushed(): Promise<void> {
    while (this.socket.writableLength > 0 && !this.socket.destroyed) await tick(2);
  }

  /** Exactly `length` bytes. @throws if the stream ends earlier, or no bytes arrive in time */
  async take(length: number, timeout = DEFAULT_TIMEOUT): Promise<Buffer> {
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      const part = this.#takeSome(missing);
      if (part) {
        parts.push(part);
        missing -= part.length;
      } else {
        await this.#more(timeout, `${missing} of ${length} bytes`);
      }
    }
    return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  }

  /** All bytes until the daemon ends the connection. */
  async takeRest(timeout = DEFAULT_TIMEOUT): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (;;) {
      const part = this.#takeSome(Infinity);
      if (part) parts.push(part);
      else if (this.#end !== 'open') return Buffer.concat(parts);
      else await this.#more(timeout, 'the end').catch((error: unknown) => this.#unlessOver(error));
    }
  }

  /** How the connection ended; discards all bytes before its end. */
  async ended(timeout = DEFAULT_TIMEOUT): Promise<'end' | 'reset'> {
    await this.takeRest(timeout);
    return this.#end as 'end' | 'reset';
  }

  get isOver(): boolean {
    return this.#end !== 'open';
  }

  destroy(): void {
    this.socket.destroy();
  }

  async greeting(): Promise<void> {
    const got = await this.take(GREETING.length);
    if (!got.equals(GREETING)) throw new Error(`greeting ${got.toString('hex')}`);
  }

  /** Whether the daemon sends its greeting; otherwise it has ended the connection. */
  async isGreeted(): Promise<boolean> {
    try {
      await this.greeting();
      return true;
    } catch (error) {
      if (!this.isOver) throw error;
      return false;
    }
  }

  async handshake(flags?: number): Promise<void> {
    await this.greeting();
    this.send(clientFlags(flags));
  }

  option(option: number, data: Buffer = Buffer.alloc(0)): void {
    this.send(optionBytes(option, data));
  }

  async optionReply(option: number): Promise<OptionReply> {
    const head = await this.take(20);
    if (!head.subarray(0, 8).equals(REPLY_MAGIC)) throw new Error(`reply ${head.toString('hex')}`);
    const got = head.readUInt32BE(8);
    if (got !== option) throw new Error(`reply to option ${got}, expected ${option}`);
    const data = await this.take(head.readUInt32BE(16));
    return { option, type: head.readUInt32BE(12), data };
  }

  async list(): Promise<string[]> {
    this.option(NBD_OPT.LIST);
    const names: string[] = [];
    for (;;) {
      const { type, data } = await this.optionReply(NBD_OPT.LIST);
      if (type === NBD_REP.ACK && data.length === 0) return names;
      const length = data.length >= 4 ? data.readUInt32BE(0) : Infinity;
      if (type !== NBD_REP.SERVER || 4 + length > data.length) throw new Error(`list: ${type}`);
      names.push(data.toString('utf8', 4, 4 + length));
    }
  }

  /** NBD_OPT_GO or NBD_OPT_INFO; parses every reply. @throws with the code of a refusal */
  async go(
    name = '',
    infos: readonly number[] = [NBD_INFO.BLOCK_SIZE],
    option: number = NBD_OPT.GO,
  ): Promise<ExportFacts> {
    this.option(option, infoData(name, infos));
    let facts: ExportFacts | null = null;
    for (;;) {
      const { type, data } = await this.optionReply(option);
      if (type === NBD_REP.ACK) {
        if (!facts || data.length > 0) throw new Error('go: acknowledged without NBD_INFO_EXPORT');
        return facts;
      }
      if (type !== NBD_REP.INFO) throw new Error(`go: 0x${type.toString(16)}: ${data.toString()}`);
      facts = takeInfo(facts, data);
    }
  }

  async exportName(name: string, noZeroes: boolean): Promise<ExportFacts> {
    this.option(NBD_OPT.EXPORT_NAME, Buffer.from(name));
    const head = await this.take(noZeroes ? 10 : 134);
    if (head.subarray(10).some((byte) => byte !== 0)) throw new Error('padding is not zeros');
    return { size: Number(head.readBigUInt64BE(0)), flags: head.readUInt16BE(8) };
  }

  request(request: RawRequest, payload: Uint8Array = Buffer.alloc(0)): void {
    this.send(Buffer.concat([requestBytes(request), payload]));
  }

  async reply(timeout = DEFAULT_TIMEOUT): Promise<{ error: number; cookie: bigint }> {
    const head = await this.take(16, timeout);
    if (head.readUInt32BE(0) !== 0x67446698) throw new Error(`reply ${head.toString('hex')}`);
    return { error: head.readUInt32BE(4), cookie: head.readBigUInt64BE(8) };
  }

  /** One command without any other in flight. @returns the error number */
  async command(request: RawRequest, payload?: Uint8Array): Promise<number> {
    const cookie = this.#cookie++;
    this.request({ ...request, cookie }, payload);
    const reply = await this.reply();
    if (reply.cookie !== cookie) throw new Error(`cookie ${reply.cookie}, expected ${cookie}`);
    return reply.error;
  }

  /** One read without any other in flight. @throws with the error number if it is refused */
  async read(offset: number, length: number): Promise<Buffer> {
    const error = await this.command({ offset, length });
    if (error !== 0) throw new Error(`read of ${length} at ${offset}: error ${error}`);
    return this.take(length);
  }

  /** Sends NBD_CMD_DISC and expects only the end. */
  async disconnect(): Promise<void> {
    this.request({ type: NBD_CMD.DISC });
    const rest = await this.takeRest();
    this.destroy();
    if (rest.length > 0) throw new Error(`${rest.length} bytes after the goodbye`);
    if (this.#end !== 'end') throw new Error('connection reset after the goodbye');
  }

  #takeSome(most: number): Buffer | null {
    const n = Math.min(most, this.socket.readableLength);
    return n === 0 ? null : (this.socket.read(n) as Buffer | null);
  }

  async #more(timeout: number, what: string): Promise<void> {
    const { socket } = this;
    if (this.#end !== 'open') throw new Error(`connection over (${this.#end}) before ${what}`);
    socket.read(0);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(
        () => done(new Error(`no sign of ${what} in ${timeout} ms`)),
        timeout,
      );
      const more = () => done();
      const done = (error?: Error) => {
        clearTimeout(timer);
        for (const event of EVENTS) socket.off(event, more);
        if (error) reject(error);
        else resolve();
      };
      for (const event of EVENTS) socket.on(event, more);
    });
  }

  #unlessOver(error: unknown): void {
    if (this.#end === 'open') throw error;
  }
}

const EVENTS = ['readable', 'end', 'error', 'close'];

function takeInfo(facts: ExportFacts | null, data: Buffer): ExportFacts {
  const kind = data.readUInt16BE(0);
  if (kind === NBD_INFO.EXPORT && data.length === 12) {
    return { ...facts, size: Number(data.readBigUInt64BE(2)), flags: data.readUInt16BE(10) };
  }
  if (!facts) throw new Error(`info ${kind} before NBD_INFO_EXPORT`);
  if (kind === NBD_INFO.NAME) return { ...facts, name: data.toString('utf8', 2) };
  if (kind === NBD_INFO.DESCRIPTION) return { ...facts, description: data.toString('utf8', 2) };
  if (kind !== NBD_INFO.BLOCK_SIZE || data.length !== 14) throw new Error(`info ${kind}`);
  const sizes = [2, 6, 10].map((at) => data.readUInt32BE(at)) as [number, number, number];
  return { ...facts, blockSizes: sizes };
}

export function tick(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
