// URLs of a store that are good for a while, as object stores sign them.
import { createHmac, randomBytes } from 'node:crypto';

export class SignedUrls {
  readonly #goodMs: number;
  #key = randomBytes(16);

  constructor(goodMs: number) {
    this.#goodMs = goodMs;
  }

  /** The path with its signature. */
  sign(path: string): string {
    const end = `${Math.round(performance.now() + this.#goodMs)}`;
    return `${path}?expires=${end}&signature=${this.#mark(path, end)}`;
  }

  isGood(url: URL): boolean {
    const end = url.searchParams.get('expires') ?? '0';
    const right = url.searchParams.get('signature') === this.#mark(url.pathname, end);
    return right && Number(end) > performance.now();
  }

  /** None that was signed so far is good any longer. */
  expireAll(): void {
    this.#key = randomBytes(16);
  }

  #mark(path: string, end: string): string {
    return createHmac('sha256', this.#key).update(`${path} ${end}`).digest('hex');
  }
}
