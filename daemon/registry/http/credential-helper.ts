// Docker's credential helpers: programs that know logins (docker-credential-SUFFIX get). They may hang: each has a
// time limit, runs once at a time for a server, and its last good answer is used while it runs again.

import { spawn } from 'node:child_process';
import { OverlaybdError, messageOf } from '../../errors.js';
import { printableLine } from '../../lib/printable.js';
import type { Credential } from './credential.js';
import type { HelperQuestion } from './auth-file.js';
import { MAX_HELPER_BYTES } from './limits.js';
import { Lru } from './lru.js';
import { untilAborted } from './waiting.js';
import { publicFacts } from '../../lib/fault.js';

export interface HelperSeams {
  readonly env: NodeJS.ProcessEnv;
  readonly now: () => number;
  readonly log: (line: string) => void;
  readonly limits: {
    readonly helperMs: number;
    readonly helperRenewMs: number;
    readonly refusedMs: number;
  };
}

interface Entry {
  /** undefined: none yet. */
  answer: Credential | null | undefined;
  askedAt: number;
  flight: Promise<void> | null;
}

/** Servers whose login is kept. */
const MAX_ANSWERS = 1024;
const SUFFIX = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** On stdout, with exit code 1. */
const NOT_FOUND = 'credentials not found';
/** Helpers of token services say so of an identity token. */
const TOKEN_USER = '<token>';

export class CredentialHelpers {
  readonly #seams: HelperSeams;
  readonly #entries = new Lru<string, Entry>(MAX_ANSWERS);

  constructor(seams: HelperSeams) {
    this.#seams = seams;
  }

  /**
   * @param fresh the last answer was refused
   * @returns null: the helper has none, or fails and never gave one
   */
  async get(
    question: HelperQuestion,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Credential | null> {
    const { now, limits } = this.#seams;
    const key = JSON.stringify([question.helper, question.server]);
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { answer: undefined, askedAt: -Infinity, flight: null };
      this.#entries.set(key, entry);
    }
    const age = now() - entry.askedAt;
    const isDue = fresh ? age >= limits.refusedMs : age >= limits.helperRenewMs;
    if (isDue) entry.flight ??= this.#ask(question, entry);
    // The last answer may still be good: its renewal runs beside the request.
    const mustWait = fresh || entry.answer === undefined;
    if (mustWait && entry.flight) await untilAborted(entry.flight, signal);
    return entry.answer ?? null;
  }

  async #ask(question: HelperQuestion, entry: Entry): Promise<void> {
    const { now, log } = this.#seams;
    entry.askedAt = now();
    try {
      entry.answer = await runHelper(question, this.#seams);
    } catch (error) {
      log(`${messageOf(error)}; ${entry.answer ? 'its last answer is used' : 'going on without'}`);
    } finally {
      entry.flight = null;
    }
  }
}

/** @throws OverlaybdError AUTH, without what the helper printed */
async function runHelper(
  { helper, server }: HelperQuestion,
  { env, limits }: HelperSeams,
): Promise<Credential | null> {
  const program = `docker-credential-${helper}`;
  const failed = (why: string): OverlaybdError => {
    const message = printableLine(`${program} ${why}, for ${server}`);
    return new OverlaybdError('AUTH', message, {
      facts: publicFacts({ path: program, host: server }),
    });
  };
  if (!SUFFIX.test(helper)) {
    throw failed('is not the name of a program: correct credHelpers or credsStore');
  }
  const { code, output } = await run(program, server, env, limits.helperMs, failed);
  if (output.toLowerCase().includes(NOT_FOUND)) return null;
  if (code !== 0) throw failed(`ends with code ${code}`);
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    throw failed('does not answer in JSON');
  }
  const { Username: username, Secret: secret } = (value ?? {}) as Record<string, unknown>;
  if (typeof secret !== 'string' || secret === '') return null;
  if (username === TOKEN_USER) return { kind: 'identity', token: secret };
  if (typeof username !== 'string' || username === '') return null;
  return { kind: 'basic', username, password: secret };
}

function run(
  program: string,
  input: string,
  env: NodeJS.ProcessEnv,
  limitMs: number,
  failed: (why: string) => OverlaybdError,
): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], { env, stdio: ['pipe', 'pipe', 'ignore'] });
    const pieces: Buffer[] = [];
    let received = 0;
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      // A program that it has started may have its output open.
      child.stdout.destroy();
      child.kill('SIGKILL');
      settle();
    };
    const timer = setTimeout(() => {
      end(() => reject(failed(`gives no answer within ${limitMs / 1000} s`)));
    }, limitMs);
    child.on('error', (error: NodeJS.ErrnoException) => {
      end(() =>
        reject(
          failed(
            error.code === 'ENOENT'
              ? 'is not installed, but a configuration of docker names it'
              : `cannot be run (${error.code ?? error.message})`,
          ),
        ),
      );
    });
    child.stdout.on('data', (piece: Buffer) => {
      received += piece.length;
      if (received > MAX_HELPER_BYTES) end(() => reject(failed('prints too much')));
      else pieces.push(piece);
    });
    child.on('close', (code) => {
      end(() => resolve({ code, output: Buffer.concat(pieces).toString() }));
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(`${input}\n`);
  });
}
