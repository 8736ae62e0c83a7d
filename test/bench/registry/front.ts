// The fault front as a process of its own, so that its work is not the client's, and what it says it was asked for.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { atExit, notAtExit } from '../at-exit.js';

const PROGRAM = fileURLToPath(new URL('../../support/registry/main.js', import.meta.url));

const REPOSITORY = 'test/app';

export interface FrontArguments {
  /** The folder with the images. */
  readonly layout: string;
  /** Milliseconds that each answer takes longer. */
  readonly latency?: number;
  /** Bytes a second. */
  readonly rate?: number;
  readonly redirect?: boolean;
  /** Whether a token is needed, which anyone gets. */
  readonly tokens?: boolean;
  /** Paths, PEM. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** 0 if left out: the system chooses. */
  readonly port?: number;
  /** A file with rules: what it does wrong. */
  readonly rules?: string;
}

/** What was asked for since the start of the front. */
export interface FrontCounts {
  readonly requests: number;
  /** Of blobs. */
  readonly bytes: number;
  readonly duplicateBytes: number;
  /** Requests, each of which began after the one before had ended; without those for tokens. */
  readonly longestChain: number;
  readonly mostAtOnce: number;
}

interface Greeting {
  readonly url: string;
  readonly store: string;
}

export class FrontProcess {
  readonly url: string;
  /** The hosts that are asked over plain http; none with TLS. */
  readonly #plain: readonly string[];
  readonly #child: ChildProcess;
  readonly #lines: Interface;

  private constructor(child: ChildProcess, lines: Interface, { url, store }: Greeting) {
    this.#child = child;
    this.#lines = lines;
    this.url = url;
    this.#plain = url.startsWith('http:') ? [this.host, store] : [];
  }

  /** @throws Error if it ends before it listens */
  static async start(options: FrontArguments): Promise<FrontProcess> {
    const { layout, latency = 0, rate = Infinity, redirect = false, tokens = false } = options;
    const { tls, port = 0, rules } = options;
    const args = [PROGRAM, '--layout', layout, '--repository', REPOSITORY, '--port', `${port}`];
    args.push('--latency', `${latency}`, '--rate', `${rate}`);
    if (redirect) args.push('--redirect', 'store');
    if (tokens) args.push('--auth', 'bearer', '--anonymous');
    if (rules !== undefined) args.push('--rules', rules);
    if (tls) args.push('--cert', tls.certificate, '--key', tls.key);
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    const kill = (): void => void child.kill('SIGKILL');
    atExit(kill);
    child.once('exit', () => notAtExit(kill));
    const lines = createInterface({ input: child.stdout });
    const ended = once(child, 'exit').then(([code]) => {
      throw new Error(`the front has ended with exit code ${code}`);
    });
    ended.catch(() => undefined);
    const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
    return new FrontProcess(child, lines, JSON.parse(line) as Greeting);
  }

  get host(): string {
    return new URL(this.url).host;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** The name of an image. */
  name(tag: string): string {
    return `${this.host}/${REPOSITORY}:${tag}`;
  }

  blobUrl(digest: string): string {
    return `${this.url}/v2/${REPOSITORY}/blobs/${digest}`;
  }

  /** Options with which the daemon asks it. */
  get options(): string[] {
    return this.#plain.flatMap((host) => ['--plain-http', host]);
  }

  async counts(): Promise<FrontCounts> {
    const answer = new Promise<FrontCounts>((resolve) => {
      const look = (line: string): void => {
        const parsed = JSON.parse(line) as FrontCounts | { readonly longestChain?: undefined };
        // A line for each request comes before the sums.
        if (parsed.longestChain === undefined) return;
        this.#lines.off('line', look);
        // Not all of it: its list of broken rules has a line for each request of nbdkit.
        const { requests, bytes, duplicateBytes, longestChain, mostAtOnce } = parsed;
        resolve({ requests, bytes, duplicateBytes, longestChain, mostAtOnce });
      };
      this.#lines.on('line', look);
    });
    this.#child.kill('SIGUSR1');
    return answer;
  }

  async stop(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exit;
  }
}
