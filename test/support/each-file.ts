// Looks at the files of an image as commands do: what cannot be read is noted, and the others go on.
import { OverlaybdError } from '../../daemon/errors.js';
import type { EachFile } from '../../daemon/files/listing.js';

export class NotedFailures implements EachFile {
  readonly messages: string[] = [];

  async tried<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof OverlaybdError)) throw error;
      this.messages.push(error.message);
      return null;
    }
  }
}
