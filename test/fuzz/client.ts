// The client's end of a socket pair: follows its script, one step in every turn of the loop, and keeps all received
// bytes. It judges nothing; that is the judge's task.
import { EAGAIN } from '../../daemon/lib/errno.js';
import { descriptors } from '../../daemon/native/descriptors.js';
import { SHUT_WR, sockets } from '../../daemon/native/socket.js';
import type { Script } from './script.js';

const scratch = Buffer.allocUnsafeSlow(1 << 20);

export class Client {
  readonly script: Script;
  /** How the daemon ended the stream. */
  end: 'open' | 'end' | 'reset' = 'open';
  /** Bytes of the script that the socket took. */
  said = 0;
  /** Turns without any progress. */
  quiet = 0;
  /** The client has disconnected by itself. */
  gone = false;
  readonly #fd: number;
  readonly #parts: Buffer[] = [];
  #silent = false;
  #refused = false;
  #turn = 0;
  #sends = 0;
  #nextSend = 0;

  constructor(fd: number, script: Script) {
    this.#fd = fd;
    this.script = script;
  }

  /** The script has no further bytes. */
  get isMute(): boolean {
    return this.gone || this.#silent || this.#refused || this.said === this.script.bytes.length;
  }

  get heard(): Buffer {
    if (this.#parts.length > 1) this.#parts.splice(0, Infinity, Buffer.concat(this.#parts));
    return this.#parts[0] ?? Buffer.alloc(0);
  }

  step(): void {
    if (this.gone) return;
    this.#turn++;
    const moved = [this.#speak(), this.#hear()].includes(true);
    this.quiet = moved ? 0 : this.quiet + 1;
  }

  leave(): void {
    if (this.gone) return;
    this.gone = true;
    descriptors.close(this.#fd);
  }

  #speak(): boolean {
    const { bytes, leave, pieces, pauses } = this.script;
    if (this.isMute || this.#turn < this.#nextSend) return false;
    const stop = leave.kind === 'gone' || leave.kind === 'silent' ? leave.at : bytes.length;
    if (this.said < stop) {
      const piece = pieces[this.#sends % pieces.length] as number;
      const length = Math.min(piece, stop - this.said);
      const n = sockets.send(this.#fd, bytes, this.said, length);
      if (n === -EAGAIN) return false;
      if (n < 0) this.#refused = true;
      else this.said += n;
      this.#nextSend = this.#turn + (pauses[this.#sends++ % pauses.length] as number);
    }
    if (this.said === stop && leave.kind === 'gone') this.leave();
    if (this.said === stop && leave.kind === 'silent') {
      this.#silent = true;
      sockets.shutdown(this.#fd, SHUT_WR);
    }
    return true;
  }

  #hear(): boolean {
    const { from, bytes, every } = this.script.reader;
    if (this.gone || this.end !== 'open' || this.#turn < from || this.#turn % every !== 0) {
      return !this.gone && this.end === 'open' && this.#turn < from;
    }
    // Slow readers become faster, so that a case ends.
    const most = Math.min(scratch.length, bytes * 2 ** Math.min(20, this.#turn >>> 6));
    const n = sockets.recv(this.#fd, scratch, 0, most);
    if (n === -EAGAIN) return false;
    if (n > 0) this.#parts.push(Buffer.from(scratch.subarray(0, n)));
    else this.end = n === 0 ? 'end' : 'reset';
    return true;
  }
}
