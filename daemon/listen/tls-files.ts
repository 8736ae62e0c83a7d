// Reads and checks certificates and keys, so that reactors get only working ones. Messages never contain
// the content of a key.

import { X509Certificate, createPrivateKey, type KeyObject } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { TlsFiles } from '../config/tls-config.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { TlsSettings } from '../reactor/tls-settings.js';

const MAX_FILE_BYTES = 4 * 1024 * 1024;
/** Bytes of a name: OpenSSL's limit of an identity. */
const MAX_PSK_NAME = 128;
/** Bytes of a key: a shorter key can be guessed, OpenSSL does not accept a longer one. */
const MIN_PSK = 16;
const MAX_PSK = 256;
const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

export interface LoadedTls {
  readonly settings: TlsSettings;
  /** Warnings, which do not prevent the start. */
  readonly notes: readonly string[];
}

/** @throws OverlaybdError BAD_CONFIG naming the file */
export function loadTls(files: TlsFiles): LoadedTls {
  const notes: string[] = [];
  const identity = files.identity && loadIdentity(files.identity, notes);
  const clientCa = files.clientCa === null ? null : readText(files.clientCa);
  if (files.clientCa !== null && clientCa !== null) {
    for (const certificate of certificates(files.clientCa, clientCa))
      noteDates(files.clientCa, certificate, notes);
  }
  const keys = files.pskFile === null ? null : parsePsk(readText(files.pskFile), files.pskFile);
  for (const secret of [files.identity?.key ?? null, files.pskFile]) {
    if (secret !== null && (statSync(secret).mode & 0o007) !== 0) {
      notes.push(`${secret}: other users of this machine can use it; chmod o= ${secret}`);
    }
  }
  const { mode, clientNames } = files;
  return { settings: { mode, identity, clientCa, clientNames, keys }, notes };
}

/**
 * Parses `name:hexkey` lines, as psktool writes them. Skips empty lines and lines that begin with #.
 * @throws OverlaybdError BAD_CONFIG naming file and line, never the key
 * @internal for its unit test
 */
export function parsePsk(text: string, file: string): Map<string, Uint8Array> {
  const keys = new Map<string, Uint8Array>();
  for (const [at, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const place = `${file}: line ${at + 1}`;
    const colon = line.lastIndexOf(':');
    const name = line.slice(0, colon);
    const hex = line.slice(colon + 1).trim();
    if (colon < 1 || name.includes('\0')) throw wrongFile(place, 'not NAME:HEXKEY');
    if (Buffer.byteLength(name) > MAX_PSK_NAME)
      throw wrongFile(place, `a name has at most ${MAX_PSK_NAME} bytes`);
    if (!/^(?:[0-9a-f]{2})+$/i.test(hex))
      throw wrongFile(place, 'the key is not an even number of hex digits');
    if (hex.length < 2 * MIN_PSK || hex.length > 2 * MAX_PSK) {
      throw wrongFile(
        place,
        `the key has ${hex.length / 2} bytes, expected ${MIN_PSK} to ${MAX_PSK}`,
      );
    }
    if (keys.has(name)) throw wrongFile(place, 'a second key for that name');
    keys.set(name, Buffer.from(hex, 'hex'));
  }
  if (keys.size === 0) throw new OverlaybdError('BAD_CONFIG', `${file}: no keys in it`);
  return keys;
}

type Identity = NonNullable<TlsSettings['identity']>;

function loadIdentity(files: Identity, notes: string[]): Identity {
  const certificate = readText(files.certificate);
  const [leaf] = certificates(files.certificate, certificate);
  const key = readText(files.key);
  const parsed = parseKey(files.key, key);
  if (!leaf?.checkPrivateKey(parsed)) {
    throw wrongFile(files.key, `not the key of the certificate in ${files.certificate}`);
  }
  try {
    createSecureContext({ cert: certificate, key });
  } catch (error) {
    throw wrongFile(files.certificate, messageOf(error), error);
  }
  noteDates(files.certificate, leaf, notes);
  return { certificate, key };
}

function certificates(file: string, text: string): X509Certificate[] {
  const blocks = text.match(PEM_CERTIFICATE) ?? [];
  if (blocks.length === 0) throw wrongFile(file, 'no PEM certificate in it');
  return blocks.map((block, i) => {
    try {
      return new X509Certificate(block);
    } catch (error) {
      throw wrongFile(file, `certificate ${i + 1} cannot be read: ${messageOf(error)}`, error);
    }
  });
}

function parseKey(file: string, text: string): KeyObject {
  if (/-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(text)) {
    throw wrongFile(file, 'the key has a passphrase, which the daemon cannot enter');
  }
  try {
    return createPrivateKey(text);
  } catch (error) {
    throw wrongFile(file, 'no PEM private key in it', error);
  }
}

function noteDates(file: string, certificate: X509Certificate, notes: string[]): void {
  const now = Date.now();
  if (Date.parse(certificate.validTo) < now) notes.push(`${file}: expired ${certificate.validTo}`);
  if (Date.parse(certificate.validFrom) > now) {
    notes.push(`${file}: not valid before ${certificate.validFrom}`);
  }
}

function readText(file: string): string {
  let text: string;
  try {
    const stats = statSync(file);
    // Devices and pipes may have no end; the pipe of the shell's `<(command)` has one.
    const isEndless = stats.isCharacterDevice() || stats.isFIFO();
    if (isEndless && !file.startsWith('/dev/fd/')) throw new Error('not a regular file');
    const { size } = stats;
    if (size > MAX_FILE_BYTES) throw new Error(`${size} bytes, at most ${MAX_FILE_BYTES}`);
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw wrongFile(file, messageOf(error), error);
  }
  return text;
}

function wrongFile(subject: string, why: string, cause?: unknown): OverlaybdError {
  return new OverlaybdError('BAD_CONFIG', `${subject}: ${why}`, { cause });
}
