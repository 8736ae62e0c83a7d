// The TLS settings: files, mode, and which of them contradict each other. Pure: listen/tls-files.ts reads the
// files.

import * as v from 'valibot';
import type { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
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

/** The TLS settings with all defaults applied. Values are paths of files. */
export interface TlsFiles {
  readonly mode: 'on' | 'require';
  readonly identity: { readonly certificate: string; readonly key: string } | null;
  readonly clientCa: string | null;
  /** Common names of clients; null for all with a certificate of the CA. */
  readonly clientNames: readonly string[] | null;
  readonly pskFile: string | null;
}

/**
 * Applies the defaults. Files without a mode mean `require`, because no other guess would be safe.
 * @returns null without TLS
 * @throws OverlaybdError BAD_CONFIG if a setting is missing, or would admit more clients than it seems to
 */
export function tlsFiles(config: TlsConfig): TlsFiles | null {
  const { certificate, key, clientCa, clientNames, pskFile } = config;
  const named = [certificate, key, clientCa, pskFile, clientNames].some((x) => x !== undefined);
  const mode = config.mode ?? (named ? 'require' : 'off');
  if (mode === 'off') return null;
  if (certificate === undefined && pskFile === undefined) {
    throw wrongTls(`mode ${JSON.stringify(mode)} needs a certificate or a file of pre-shared keys`);
  }
  if ((certificate === undefined) !== (key === undefined)) {
    throw wrongTls(
      certificate === undefined ? 'a key without certificate' : 'a certificate without key',
    );
  }
  if (clientCa !== undefined && certificate === undefined) {
    throw wrongTls('a CA for clients needs a certificate of the server');
  }
  if (clientNames && clientCa === undefined) {
    throw wrongTls('names of clients have no effect without a CA for clients');
  }
  if (pskFile !== undefined && certificate !== undefined && clientCa === undefined) {
    throw wrongTls('pre-shared keys have no effect beside a certificate without a CA for clients');
  }
  return {
    mode,
    identity: certificate !== undefined && key !== undefined ? { certificate, key } : null,
    clientCa: clientCa ?? null,
    clientNames: clientNames ?? null,
    pskFile: pskFile ?? null,
  };
}

function wrongTls(why: string): OverlaybdError {
  return errorOf('BAD_CONFIG', { section: 'tls' }, why);
}
