// The server's side of TLS handshakes: a raw stream in, an authenticated TLS socket out, or the
// reason why not. Decides who may come in; moves no data.

import type * as Crypto from 'node:crypto';
import { createRequire } from 'node:module';
import type { Duplex } from 'node:stream';
import type * as Tls from 'node:tls';
import type { Server, TLSSocket } from 'node:tls';
import { messageOf } from '../errors.js';
import { quoted } from '../lib/printable.js';
import type { TlsSettings } from './tls-settings.js';

/** Loaded with the first TLS settings: loading them takes 9 ms in each thread. */
const require = createRequire(import.meta.url);
const loadTls = (): typeof Tls => require('node:tls') as typeof Tls;
const loadCrypto = (): typeof Crypto => require('node:crypto') as typeof Crypto;

/** How a TLS handshake ended. */
export type TlsOutcome =
  | {
      readonly socket: TLSSocket;
      /** "CN=alice" or "PSK=alice"; null when clients need not say who they are. */
      readonly client: string | null;
    }
  | { readonly socket: null; readonly reason: string };

type Done = (outcome: TlsOutcome) => void;

/**
 * Idle servers that a thread keeps. Each takes some 40 KiB, and 5 ms to make.
 */
const MAX_IDLE = 8;

/**
 * TLS 1.3, in our order of preference when there are keys: OpenSSL takes ours for keys of SHA-256, and
 * beside a certificate would choose SHA-384 first, then find that no key fits.
 */
const TLS13_CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_256_GCM_SHA384',
];
/** TLS 1.2: forward secrecy only, and no suites without encryption. */
const PSK_CIPHERS = [
  'ECDHE-PSK-CHACHA20-POLY1305',
  'ECDHE-PSK-AES256-CBC-SHA384',
  'ECDHE-PSK-AES128-CBC-SHA256',
];

export class TlsAcceptor {
  readonly #settings: TlsSettings;
  readonly #idle: HandshakeServer[] = [];

  /** @throws an error of OpenSSL if it cannot use certificate and key */
  constructor(settings: TlsSettings) {
    this.#settings = settings;
    this.#idle.push(new HandshakeServer(settings));
  }

  /** @param done called once, after this returns; never called if the stream ends before an outcome */
  accept(stream: Duplex, done: Done): void {
    const server = this.#idle.pop() ?? new HandshakeServer(this.#settings);
    server.begin(stream, (outcome) => {
      if (this.#idle.length < MAX_IDLE) this.#idle.push(server);
      done(outcome);
    });
  }
}

/**
 * A tls.Server that never listens and does one handshake at a time: it is the only way to have Node
 * verify certificates of clients by its public interface, and its events do not say which stream
 * they are about.
 */
class HandshakeServer {
  readonly #settings: TlsSettings;
  readonly #server: Server;
  #done: Done | null = null;
  /** The last identity for which there was a key; OpenSSL uses that one or none. */
  #pskIdentity: string | null = null;
  #unknownIdentity: string | null = null;

  constructor(settings: TlsSettings) {
    this.#settings = settings;
    const { identity, clientCa, keys } = settings;
    const { constants } = loadCrypto();
    this.#server = loadTls().createServer({
      minVersion: 'TLSv1.2',
      allowHalfOpen: true,
      // Each connection authenticates again, and keeps the keys that it started with.
      secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
      ...(identity && { cert: identity.certificate, key: identity.key }),
      // With pre-shared keys we check certificates ourselves: a client that proves that it knows a key
      // needs none, and from Node 26 on a missing certificate counts as a bad one.
      ...(clientCa !== null && { ca: clientCa, requestCert: true, rejectUnauthorized: !keys }),
      ...(keys && {
        ciphers: pskCiphers(identity !== null),
        pskCallback: (_socket: TLSSocket, name: string) => this.#psk(name),
      }),
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      const unknown = this.#unknownIdentity;
      const note = unknown === null ? '' : `; no key for ${quoted(unknown.slice(0, 64))}`;
      this.#end({ socket: null, reason: handshakeError(error, socket) + note });
    });
  }

  begin(stream: Duplex, done: Done): void {
    this.#done = done;
    this.#pskIdentity = null;
    this.#unknownIdentity = null;
    this.#server.emit('connection', stream);
  }

  #psk(name: string): Uint8Array | null {
    const key = this.#settings.keys?.get(name);
    if (!key) {
      this.#unknownIdentity = name;
      return null;
    }
    this.#pskIdentity = name;
    return key;
  }

  #secured(socket: TLSSocket): void {
    const verdict = this.#identify(socket);
    if (verdict.refused === null) {
      this.#end({ socket, client: verdict.client });
      return;
    }
    socket.on('error', () => undefined);
    socket.destroy();
    this.#end({ socket: null, reason: verdict.refused });
  }

  /** Checks again what OpenSSL and Node have checked, so that a mistake there lets no client in. */
  #identify(socket: TLSSocket): Verdict {
    const { identity, clientCa, clientNames, keys } = this.#settings;
    const certificate = clientCa === null ? null : socket.getPeerX509Certificate();
    if (certificate) {
      if (!socket.authorized) {
        return refuse(`client certificate refused: ${messageOf(socket.authorizationError)}`);
      }
      const name: unknown = socket.getPeerCertificate().subject.CN;
      // With several it is unclear which one counts.
      if (typeof name !== 'string') return refuse('the client certificate has no single CN');
      const client = `CN=${shown(name)}`;
      if (clientNames && !clientNames.includes(name)) return refuse(`${client} may not connect`);
      return { client, refused: null };
    }
    // A key in our table does not prove that the client knows it: OpenSSL skips a key that does not fit the cipher.
    if (keys && this.#pskIdentity !== null && provedByKey(socket)) {
      return { client: `PSK=${shown(this.#pskIdentity)}`, refused: null };
    }
    // Without a CA and without keys any client may connect.
    if (identity && clientCa === null && !keys) return { client: null, refused: null };
    return refuse('the client did not return a certificate, and did not prove that it knows a key');
  }

  #end(outcome: TlsOutcome): void {
    const done = this.#done;
    this.#done = null;
    done?.(outcome);
  }
}

/** The identity of a client, or why it is refused. */
interface Verdict {
  readonly client: string | null;
  readonly refused: string | null;
}

/**
 * TLS 1.3 reports a key as a resumed session, and we offer no sessions to resume; before TLS 1.3 the name of
 * the cipher tells.
 */
function provedByKey(socket: TLSSocket): boolean {
  if (socket.getProtocol() === 'TLSv1.3') return socket.isSessionReused();
  return PSK_CIPHERS.includes(socket.getCipher().name);
}

function refuse(refused: string): Verdict {
  return { client: null, refused };
}

function pskCiphers(withCertificate: boolean): string {
  const ours = [...TLS13_CIPHERS, ...PSK_CIPHERS];
  if (!withCertificate) return ours.join(':');
  const others = loadTls()
    .DEFAULT_CIPHERS.split(':')
    .filter(
      // "!PSK" would remove ours, too.
      (name) => name !== '!PSK' && !TLS13_CIPHERS.includes(name),
    );
  return [...ours, ...others, '!kPSK', '!kRSAPSK', '!kDHEPSK'].join(':');
}

/** A simple name as it is; any other one quoted, so that its end is clear. */
function shown(name: string): string {
  return /^[\w.@:-]{1,64}$/.test(name) ? name : quoted(name.slice(0, 64));
}

function handshakeError(error: Error, socket: TLSSocket): string {
  const refusal: unknown = socket.authorizationError;
  if (refusal) return `client certificate refused: ${messageOf(refusal)}`;
  return tlsErrorText(error);
}

/** The text of OpenSSL without its numbers. */
export function tlsErrorText(error: Error): string {
  const { reason, code } = error as { reason?: unknown; code?: unknown };
  if (code === 'ECONNRESET') return 'client hung up';
  return typeof reason === 'string' ? reason : error.message;
}
