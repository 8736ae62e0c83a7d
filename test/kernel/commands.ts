// Commands of overlaybd-nbd without a process for each: command-process.ts runs them all.
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { ToolResult } from '../support/tools.js';

const PROCESS = fileURLToPath(new URL('command-process.js', import.meta.url));
const END = '\0';

/** One command at a time. */
export class Commands {
  #child: ChildProcess | null = null;
  #last: Promise<unknown> = Promise.resolve();

  /** @param timeout milliseconds until the process is killed, and with it the command */
  run(args: readonly string[], timeout: number): Promise<ToolResult> {
    const result = this.#last.then(() => this.#run(args, timeout));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #run(args: readonly string[], timeout: number): Promise<ToolResult> {
    const child = (this.#child ??= this.#start());
    const timer = setTimeout(() => child.kill('SIGKILL'), timeout);
    const over = new AbortController();
    const { signal } = over;
    const answer = once(child, 'message', { signal }) as Promise<[number]>;
    const gone = once(child, 'close', { signal }).then(() => [-1]);
    const printed = [child.stdout, child.stderr].map((stream) => textOf(stream as Readable));
    child.send(args);
    const [code = -1] = await Promise.race([answer, gone]);
    const [stdout = '', stderr = ''] = await Promise.all(printed);
    clearTimeout(timer);
    over.abort();
    await Promise.allSettled([answer, gone]);
    return { code, stdout, stderr };
  }

  #start(): ChildProcess {
    const child = fork(PROCESS, [], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    // If it dies between two commands, the next one has another process.
    child.once('exit', () => {
      if (this.#child === child) this.#child = null;
    });
    return child;
  }
}

/** What the command has printed, without the zero byte after it; or what there is until the stream ends. */
function textOf(stream: Readable): Promise<string> {
  const parts: Buffer[] = [];
  return new Promise((resolve) => {
    const finish = (): void => {
      stream.off('data', take).off('close', finish);
      const text = Buffer.concat(parts).toString();
      resolve(text.endsWith(END) ? text.slice(0, -END.length) : text);
    };
    const take = (part: Buffer): void => {
      parts.push(part);
      if (part.at(-1) === 0) finish();
    };
    stream.on('data', take).once('close', finish);
  });
}
