// TLS of the configuration: which files, which mode, and what does not go together. Pure: the files
// are read by listen/tls-files.ts.

import * as v from 'valibot';
import { OverlaybdError } from '../errors.js';
import { nonEmptyString, oneOf, someOf, strictObject } from '../lib/schema.js';

export const TLS_MODES = ['off', 'on', 'require'] as const;

export const tlsSchema = strictObject({
  mode: v.optional(oneOf(TLS_MODES)),
  certificate: v.optional(v.string()),
  key: v.optional(v.string()),
  clientCa: v.optional(v.string()),
  clientNames: v.optional(someOf(nonEmptyString)),
  pskFile: v.optional(v.string()),
});

export type TlsConfig = v.InferOutput<typeof tlsSchema>;

/** TLS with everything decided. Paths of files. */
export interface TlsFiles {
  readonly mode: 'on' | 'require';
  readonly identity: { readonly certificate: string; readonly key: string } | null;
  readonly clientCa: string | null;
  /** Common names; null is all that the CA vouches for. */
  readonly clientNames: readonly string[] | null;
  readonly pskFile: string | null;
}

/**
 * Decides. Whoever names files and no mode means `require`: nothing less would be safe to guess.
 * @returns null without TLS
 * @throws OverlaybdError BAD_CONFIG for what is missing, or would let in more than it seems to
 */
export function tlsFiles(config: TlsConfig): TlsFiles | null {
  const { certificate, key, clientCa, clientNames, pskFile } = config;
  const named = [certificate, key, clientCa, pskFile, clientNames].some((x) => x !== undefined);
  const mode = config.mode ?? (named ? 'require' : 'off');
  if (mode === 'off') return null;
  if (certificate === undefined && pskFile === undefined) {
    throw bad(`mode ${JSON.stringify(mode)} needs a certificate or a file of pre-shared keys`);
  }
  if ((certificate === undefined) !== (key === undefined)) {
    throw bad(
      certificate === undefined ? 'a key without certificate' : 'a certificate without key',
    );
  }
  if (clientCa !== undefined && certificate === undefined) {
    throw bad('a CA for clients needs a certificate of the server');
  }
  if (clientNames && clientCa === undefined) {
    throw bad('names of clients mean nothing without a CA that vouches for them');
  }
  if (pskFile !== undefined && certificate !== undefined && clientCa === undefined) {
    throw bad('with a certificate and no CA for clients, pre-shared keys would keep nobody out');
  }
  return {
    mode,
    identity: certificate !== undefined && key !== undefined ? { certificate, key } : null,
    clientCa: clientCa ?? null,
    clientNames: clientNames ?? null,
    pskFile: pskFile ?? null,
  };
}

function bad(why: string): OverlaybdError {
  return new OverlaybdError('BAD_CONFIG', `tls: ${why}`);
}
