// What can go wrong with a request, and whether trying again may help. Inside this room only: callers get an
// OverlaybdError.

import { messageOf } from '../../errors.js';
import { printable, shortened } from '../../lib/printable.js';
import { MAX_HEADER_BYTES } from './limits.js';

/**
 * - retry: no connection, reset, late, 408, 429, 5xx, too short, malformed
 * - auth: credentials are refused, or there are none
 * - gone: 404, 410
 * - bad: the answer is not what was asked for
 * - refused: TLS or a rule of ours forbids the request
 * - closed: a breaker is open; nothing was sent
 */
export type FailureKind = 'retry' | 'auth' | 'gone' | 'bad' | 'refused' | 'closed';

/** Characters that a message shows of a text of the other side. */
const MAX_SHOWN_LENGTH = 160;

export interface FailureFacts {
  /** "registry.example:5000" */
  readonly host: string;
  /** Of HTTP. */
  readonly status?: number | undefined;
  /** The other side asks to wait this long. */
  readonly retryAfterMs?: number | undefined;
  /** Whether no connection came about. */
  readonly isUnconnected?: boolean;
  /** Whether name servers say that there is no such host. */
  readonly isUnknownName?: boolean;
  /** Whether the request was sent and no answer came in time. */
  readonly isUnanswered?: boolean;
  /** Whether a connection that had served others was closed before a byte of the answer came. */
  readonly wasStale?: boolean;
  /** Whether one of our limits was exceeded: LIMIT. */
  readonly isTooLong?: boolean;
  /** For the counter of requests, if there was no status: "connect", "timeout", "reset", "tls", "malformed". */
  readonly counter?: string;
  readonly expected?: string;
  readonly got?: string | number;
  readonly cause?: unknown;
}

export class Failure extends Error {
  readonly kind: FailureKind;
  readonly host: string;
  readonly status: number | undefined;
  readonly facts: FailureFacts;
  readonly #what: string;

  /** @param what without a secret, after the name of the host: "answers 503 (SlowDown)" */
  constructor(kind: FailureKind, what: string, facts: FailureFacts) {
    super(`${facts.host} ${what}`, { cause: facts.cause });
    this.name = 'Failure';
    this.kind = kind;
    this.host = facts.host;
    this.status = facts.status;
    this.facts = facts;
    this.#what = what;
  }

  /** The same failure, with a sentence for the operator. */
  with(advice: string): Failure {
    return new Failure(this.kind, `${this.#what}; ${advice}`, this.facts);
  }
}

/** A text of the other side, for a message: one line, escaped, short. */
export function shownText(text: string): string {
  return printable(shortened(text.trim(), MAX_SHOWN_LENGTH));
}

const SILENT = 'a firewall may drop what is sent to it, or it may need a proxy (HTTPS_PROXY)';
const NO_MEMORY = 'the kernel has no memory for another connection';
const FORBIDDEN =
  'this machine does not allow it; check its firewall and the rights of the service';
const CHECK_PROXY = 'check HTTPS_PROXY, HTTP_PROXY and NO_PROXY';
/** The codes of Node and undici for connections that could not be made. */
const UNCONNECTED: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'refuses connections: check that it runs, and its port',
  ENOTFOUND: 'has no address: name servers do not know its name; check how it is spelled',
  EAI_AGAIN: 'has no address: the name server does not answer; check /etc/resolv.conf',
  EHOSTUNREACH: 'cannot be reached (no route); check the network of this machine',
  ENETUNREACH: 'cannot be reached (no network); check the network of this machine',
  ETIMEDOUT: `does not answer; ${SILENT}`,
  UND_ERR_CONNECT_TIMEOUT: `does not take the connection in time; ${SILENT}`,
  EHOSTDOWN: 'cannot be reached (it is down); check the network of this machine',
  ENETDOWN: 'cannot be reached (the network is down); check the network of this machine',
  EACCES: `cannot be reached: ${FORBIDDEN}`,
  EPERM: `cannot be reached: ${FORBIDDEN}`,
  EADDRNOTAVAIL: 'cannot be reached: no local address or port is free',
  EMFILE:
    'cannot be asked: this process has no descriptor left; raise its limit (ulimit -n, LimitNOFILE=)',
  ENFILE: 'cannot be asked: this machine has no descriptor left; raise fs.file-max',
  ENOBUFS: `cannot be asked: ${NO_MEMORY}`,
  ENOMEM: `cannot be asked: ${NO_MEMORY}`,
};
const BROKEN: Readonly<Record<string, string>> = {
  ECONNRESET: 'closed the connection',
  EPIPE: 'closed the connection',
  UND_ERR_SOCKET: 'closed the connection',
};
const LATE: Readonly<Record<string, string>> = {
  UND_ERR_HEADERS_TIMEOUT: 'does not answer in time',
  UND_ERR_BODY_TIMEOUT: 'stopped in the middle of an answer',
};
const TLS_CODE =
  /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|ERR_OSSL|HOSTNAME_|INVALID_CA|EPROTO)/;
/** Stands for the error of undici's parser if that names no code. */
const PARSER_CODE = 'HPE_';
/** Of undici: the certificate of a proxy. tunnel.ts gives it for one of another name. */
const PROXY_TLS_CODE = 'UND_ERR_PRX_TLS';
const MALFORMED_CODE = /^(HPE_|UND_ERR_RES|UND_ERR_RESPONSE)/;

/**
 * What an error of undici or of Node means.
 * @param wasUsed whether its connection had served others before
 * @param proxy the proxy that leads to the host, without its login; null: none
 */
export function failureOf(
  error: unknown,
  host: string,
  wasUsed = false,
  proxy: string | null = null,
): Failure {
  if (error instanceof Failure) return error;
  const code = codeOf(error);
  const facts = { host, cause: error };
  const why = UNCONNECTED[code];
  if (why !== undefined) {
    const what =
      proxy === null ? why : `is asked through the proxy ${proxy}, which ${why}; ${CHECK_PROXY}`;
    return new Failure('retry', what, {
      ...facts,
      isUnconnected: true,
      isUnknownName: code === 'ENOTFOUND' && proxy === null,
      counter: 'connect',
    });
  }
  const isUnanswered = code === 'UND_ERR_HEADERS_TIMEOUT';
  if (LATE[code] !== undefined)
    return new Failure('retry', LATE[code], { ...facts, isUnanswered, counter: 'timeout' });
  if (BROKEN[code] !== undefined) {
    return new Failure('retry', BROKEN[code], { ...facts, wasStale: wasUsed, counter: 'reset' });
  }
  if (TLS_CODE.test(code))
    return new Failure('refused', tlsText(code), { ...facts, counter: 'tls' });
  const badHeader = code === PARSER_CODE ? badHeaderOf(error) : null;
  if (badHeader !== null) {
    const what = `sends a header that is not valid (${badHeader})`;
    return new Failure('bad', what, { ...facts, counter: 'malformed' });
  }
  if (code === 'UND_ERR_HEADERS_OVERFLOW') {
    const what = `sends an answer with more than ${MAX_HEADER_BYTES} bytes of headers`;
    return new Failure('bad', what, { ...facts, counter: 'malformed', isTooLong: true });
  }
  if (MALFORMED_CODE.test(code)) {
    const which = code === PARSER_CODE ? '' : ` (${code})`;
    return new Failure('retry', `does not speak HTTP${which}; check its port`, {
      ...facts,
      counter: 'malformed',
    });
  }
  if (code === PROXY_TLS_CODE) {
    const what = `is asked through the proxy ${proxy ?? ''}, which has a certificate for another name: use a name that is in it; ${CHECK_PROXY}`;
    return new Failure('retry', what, { ...facts, isUnconnected: true, counter: 'connect' });
  }
  const text = messageOf(error);
  const proxyStatus = /^Proxy response \((\d{3})\)/.exec(text)?.[1];
  if (proxyStatus !== undefined) {
    const advice = proxyStatus === '407' ? PROXY_LOGIN : CHECK_PROXY;
    const what = `cannot be reached: the proxy answers ${proxyStatus}; ${advice}`;
    return new Failure('retry', what, { ...facts, isUnconnected: true, counter: 'connect' });
  }
  return new Failure('retry', cannotBeAsked(text), { ...facts, counter: 'other' });
}

/** An error that has no text of its own. @param text of it */
function cannotBeAsked(text: string): string {
  return `cannot be asked: ${shownText(text)}${/^E[A-Z]+ \(/.test(text) ? '; check the network of this machine' : ''}`;
}

export const PROXY_LOGIN =
  'the proxy wants a login: put it into the variable, as HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT';

function tlsText(code: string): string {
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER') {
    return 'does not speak TLS; if it speaks plain HTTP, name it with --plain-http, and with its port if the image has one';
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'has a certificate for another name: use a name that is in it';
  if (code === 'CERT_HAS_EXPIRED')
    return 'has a certificate that has expired (or the clock is wrong): renew it, or set the clock';
  if (code === 'CERT_NOT_YET_VALID')
    return 'has a certificate that is not valid yet (or the clock is wrong): set the clock';
  return `has a certificate that is not trusted (${code}); name its CA with --registry-ca`;
}

/** What undici's parser says of a byte that may not be in a header. It does not say in which; what follows may be a secret. */
const BAD_HEADER =
  /\((Invalid header value char|Invalid header token|Invalid character in Content-Length)\)$/;

/** @returns null if something else is wrong: then it may not be HTTP at all */
function badHeaderOf(error: unknown): string | null {
  const { message = '', data = '' } = error as { message?: string; data?: unknown };
  const what = BAD_HEADER.exec(message)?.[1];
  if (what === undefined) return null;
  return `${what}: "${printable(String(data).slice(0, 1))}"`;
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === 'string') return code;
  return name === 'HTTPParserError' ? PARSER_CODE : '';
}

/** No read waits as long. */
const MAX_RETRY_AFTER_MS = 86_400_000;

/**
 * Retry-After: seconds, or a date by a clock that may be another one than ours; a day at most. null: none, or nonsense.
 */
export function retryAfterMs(
  value: string | string[] | undefined,
  wallClockMs: number,
): number | null {
  const text = (Array.isArray(value) ? value[0] : value)?.trim() ?? '';
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, MAX_RETRY_AFTER_MS);
  const date = /[a-z]/i.test(text) ? Date.parse(text) : NaN;
  if (Number.isNaN(date)) return null;
  return Math.min(Math.max(0, date - wallClockMs), MAX_RETRY_AFTER_MS);
}
