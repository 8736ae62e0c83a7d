// The memory that connections share, with counts of what is in use: a leak or an excess shows at once.
import { LargeMemory, type LargeMemoryUser } from '../../daemon/nbd/large-memory.js';
import { SendBufferPool, type SendBuffer } from '../../daemon/nbd/outbox.js';

type Release = (buffer: SendBuffer) => void;

/** Calls `given` once when the buffer is returned. */
function whenReleased(buffer: SendBuffer, given: () => void): void {
  const release = buffer.release as Release;
  const open = buffer as { release: Release };
  open.release = (used) => {
    open.release = release;
    given();
    release(used);
  };
}

export class CountingPool extends SendBufferPool {
  /** Buffers that connections hold. */
  inUse = 0;

  override take(): SendBuffer {
    const buffer = super.take();
    this.inUse++;
    whenReleased(buffer, () => this.inUse--);
    return buffer;
  }
}

export class CountingMemory extends LargeMemory {
  /** Bytes that connections hold. */
  inUse = 0;

  override async acquire(size: number, user: LargeMemoryUser): Promise<SendBuffer> {
    const buffer = await super.acquire(size, user);
    this.inUse += size;
    whenReleased(buffer, () => (this.inUse -= size));
    return buffer;
  }
}
