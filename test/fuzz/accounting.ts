// The memory that connections share, with counts of what is out: a leak or an excess shows at once.
import { LargeMemory, type LargeMemoryUser } from '../../daemon/nbd/large-memory.js';
import { ChunkPool, type Chunk } from '../../daemon/nbd/outbox.js';

type Release = (chunk: Chunk) => void;

/** Has `given` called when the chunk is given back, once. */
function whenReleased(chunk: Chunk, given: () => void): void {
  const release = chunk.release as Release;
  const open = chunk as { release: Release };
  open.release = (used) => {
    open.release = release;
    given();
    release(used);
  };
}

export class CountingPool extends ChunkPool {
  /** Chunks that connections hold. */
  inUse = 0;

  override take(): Chunk {
    const chunk = super.take();
    this.inUse++;
    whenReleased(chunk, () => this.inUse--);
    return chunk;
  }
}

export class CountingMemory extends LargeMemory {
  /** Bytes that connections hold. */
  inUse = 0;

  override async acquire(size: number, user: LargeMemoryUser): Promise<Chunk> {
    const chunk = await super.acquire(size, user);
    this.inUse += size;
    whenReleased(chunk, () => (this.inUse -= size));
    return chunk;
  }
}
