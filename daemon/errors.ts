// The error classes of the daemon and their codes. Not a logger, and not the NBD errno mapping
// (nbd/errors.ts). Every code is explained for operators in docs/errors.md.

import { getSystemErrorMap } from 'node:util';
import { isMainThread } from 'node:worker_threads';

/** The code of an error: stable names, listed in docs/errors.md. */
export const ERROR_CODES = [
  'BAD_ARGUMENT', // the command line is wrong
  'BAD_CONFIG', // a configuration file is wrong
  'BAD_FORMAT', // a blob breaks a rule of its format
  'BAD_CHECKSUM', // bytes do not match their CRC
  'BAD_DATA', // a compressed block does not decode to what it must
  'LIMIT', // a value is over one of our named limits
  'UNSUPPORTED', // a valid thing that we do not serve (yet)
  'NOT_FOUND', // a file or an export is not there
  'BUSY', // a device, a folder or a socket is in use
  'PERMISSION', // the system denies an operation
  'NO_KERNEL', // the kernel has no NBD devices, or not the way that is needed
  'NO_DAEMON', // no daemon answers at the control socket
  'NO_HELPER', // the attach helper does not answer
  'DEVICE', // the kernel refuses an operation on a device
  'SOCKET', // a socket cannot be made, or fails
  'LOOKUP', // the name of a host has no address
  'MOUNT', // a file system cannot be mounted or unmounted
  'PROGRAM_MISSING', // a program that is needed is not installed
  'IO', // reading or writing a file fails, or takes too long
  'SHORT_READ', // a blob ends before the bytes that its index promises
  'PROTOCOL', // an NBD client broke the protocol
  'REMOTE', // a registry or the way to it fails, or gives a wrong answer
  'AUTH', // a registry refuses the credentials, or there are none
  'BUG', // an error that the daemon does not expect
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** The code in an answer of another process, whose version may know other codes. */
export function knownCode(code: unknown): ErrorCode {
  return ERROR_CODES.find((each) => each === code) ?? 'IO';
}

/** What an error is about, for machines; its message says the same for people. */
export interface ErrorFacts {
  /** By path or digest, with its wrappers. */
  readonly blob?: string;
  /** The part of the blob, file or command line: "header", "index entry 17", "lowers.3.file", "--layer". */
  readonly section?: string;
  /** A file or folder that is no blob: a configuration, a cache folder, a file in an image. */
  readonly path?: string;
  /** Byte offset in the blob. */
  readonly offset?: number;
  readonly expected?: string;
  readonly got?: string | number;
  readonly export?: string;
  /** "/dev/nbd0". */
  readonly device?: string;
  /** Which files of an image of layers of files it is about, with the layer: `file "etc/passwd" of /layers/base.tar`. */
  readonly files?: string;
  /** The registry, mirror or store that was asked last: "registry.example:5000". */
  readonly host?: string;
  /** Without login and query. */
  readonly url?: string;
  /** What kind of failure was the last one: docs/errors.md lists the kinds. Programs look at it, and never at a message. */
  readonly failure?: string;
  /** The last HTTP status of that host. */
  readonly status?: number;
  /** Requests that were made. */
  readonly attempts?: number;
  /** As messages name it: "registry.example/repository:tag", or the first of its files. */
  readonly image?: string;
  /** Of a blob or manifest in a registry. */
  readonly digest?: string;
  /** Bytes of the blob: "65536-131071". */
  readonly range?: string;
  /** Why bytes could not be fetched again that the registry may have had wrong. */
  readonly refetch?: string;
  /** How long it was tried. */
  readonly seconds?: number;
}

/** The fields that facts may have, with the types of their values. docs/errors.md has a table of them. */
export const FACT_TYPES: Readonly<
  Record<keyof ErrorFacts, 'string' | 'number' | 'string or number'>
> = {
  blob: 'string',
  path: 'string',
  section: 'string',
  offset: 'number',
  expected: 'string',
  got: 'string or number',
  export: 'string',
  device: 'string',
  files: 'string',
  host: 'string',
  url: 'string',
  failure: 'string',
  status: 'number',
  attempts: 'number',
  image: 'string',
  digest: 'string',
  range: 'string',
  refetch: 'string',
  seconds: 'number',
};

/**
 * Characters of a message. Names come from hostile files, and a file may have a million problems. This one limit
 * applies to all messages.
 */
export const MAX_MESSAGE_LENGTH = 8192;

/** Any failure that the daemon expects. `message` has the subject, then the facts. */
export class OverlaybdError extends Error {
  readonly code: ErrorCode;
  #facts: ErrorFacts;

  /** @param message is cut to {@link MAX_MESSAGE_LENGTH} */
  constructor(
    code: ErrorCode,
    message: string,
    { facts = {}, ...options }: { cause?: unknown; facts?: ErrorFacts } = {},
  ) {
    // A reactor makes one for every read of a bad block. The message has all facts, and recording a stack would
    // take ten times as long as everything else.
    const { stackTraceLimit } = Error;
    if (!isMainThread) Error.stackTraceLimit = 0;
    super(boundedMessage(message), options);
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'OverlaybdError';
    this.code = code;
    this.#facts = facts;
  }

  get facts(): ErrorFacts {
    return this.#facts;
  }

  /** Adds what only a caller of the thrower knows. Facts that are there already stay. */
  addFacts(facts: ErrorFacts): void {
    this.#facts = { ...facts, ...factsOf(this) };
  }
}

/** A broken rule of a format: the place in the blob, the expected and the actual value. */
export interface FormatProblem {
  /** The blob, by path or digest, with its wrappers. */
  readonly blob: string;
  /** The part of the blob: "header", "trailer", "index entry 17", "block 5". */
  readonly section: string;
  /** Byte offset in the blob of the offending field. */
  readonly offset: number;
  readonly expected: string;
  /** A number of 2^53 or more is a bigint, so that the message is exact. */
  readonly got: string | number | bigint;
  readonly code?: 'BAD_FORMAT' | 'BAD_CHECKSUM' | 'BAD_DATA' | 'LIMIT';
}

/** Builds the error of a {@link FormatProblem}; every format check reports through it. */
export function formatError(problem: FormatProblem): OverlaybdError {
  const { blob, section, offset, expected, got } = problem;
  return new OverlaybdError(
    problem.code ?? 'BAD_FORMAT',
    `${blob}: ${section} at byte ${offset}: expected ${expected}, got ${got}`,
    { facts: { blob, section, offset, expected, got: typeof got === 'bigint' ? `${got}` : got } },
  );
}

/** Receives problems: the openers throw the first one, `verify` collects them all. */
export type ProblemSink = (problem: FormatProblem) => void;

/** A sink that throws the first problem. */
export function throwProblem(problem: FormatProblem): never {
  throw formatError(problem);
}

/** BUG for anything but an OverlaybdError. */
export function codeOf(error: unknown): ErrorCode {
  return error instanceof OverlaybdError ? error.code : 'BUG';
}

/** The facts of an error and of its causes; {} for anything but an OverlaybdError. */
export function factsOf(error: unknown): ErrorFacts {
  return error instanceof OverlaybdError ? { ...factsOf(error.cause), ...error.facts } : {};
}

/**
 * The message of one of our errors. For any other error, which is a bug, includes the stack. An error whose stack is its
 * message is not a bug: files of the program were replaced (bundle/rest.ts).
 */
export function fullStory(error: unknown): string {
  if (error instanceof OverlaybdError) return error.message;
  if (error instanceof Error && error.stack === error.message) return boundedMessage(error.message);
  return boundedMessage(
    `BUG: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
  );
}

/** Like the above, for people: the message in one line, and the stack below. */
export function storyLines(error: unknown): string[] {
  const story = fullStory(error);
  const frames = story.search(/(?:\n {4}at .*)+$/);
  if (frames < 0) return [story];
  return [story.slice(0, frames), ...story.slice(frames + 1).split('\n')];
}

/** The text of any thrown value, at most {@link MAX_MESSAGE_LENGTH} characters. */
export function messageOf(error: unknown): string {
  return boundedMessage(error instanceof Error ? systemText(error) : String(error));
}

/** Of an error of a system call, without its path, which callers name: "ENOTDIR (not a directory)". */
function systemText(error: Error): string {
  const { code, errno, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || errno === undefined || syscall === undefined) return error.message;
  const [, words] = getSystemErrorMap().get(errno) ?? [];
  return words === undefined ? error.message : `${code} (${words})`;
}

/**
 * Keeps the beginning, which has the subject, and the end, which has the actual value.
 * @internal for its unit test
 */
export function boundedMessage(message: string): string {
  if (message.length <= MAX_MESSAGE_LENGTH) return message;
  const left = ` ... (${message.length} characters) ... `;
  const tail = MAX_MESSAGE_LENGTH / 4;
  const head = MAX_MESSAGE_LENGTH - tail - left.length;
  return message.slice(0, head) + left + message.slice(-tail);
}
