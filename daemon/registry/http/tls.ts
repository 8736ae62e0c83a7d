// What TLS needs to know for a host: trusted certificates, a certificate of ours. Reads the files.

import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { messageOf } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
import { Lru } from './lru.js';
import { readSmallFile } from './small-file.js';
import { versionOf } from './watched-file.js';

/** Paths of PEM files. */
export interface TlsPaths {
  /** Trusted in addition to what the system trusts. */
  readonly ca: readonly string[];
  readonly client: readonly { readonly certificate: string; readonly key: string }[];
  /** Whether any certificate is taken. */
  readonly isUnverified: boolean;
}

export const NO_TLS_PATHS: TlsPaths = { ca: [], client: [], isUnverified: false };

export interface TlsContext {
  readonly context: SecureContext;
  readonly isUnverified: boolean;
  /** Equal if and only if the files are the same and unchanged. */
  readonly key: string;
}

/** Where distributions keep the certificates that they trust. */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];
/** Contexts in memory, of some 100 KiB each. */
const MAX_CONTEXTS = 64;

export interface TlsSeams {
  readonly env: NodeJS.ProcessEnv;
  readonly now: () => number;
  /** For how long files are taken as they were. */
  readonly filesMs: number;
}

export class TlsContexts {
  readonly #seams: TlsSeams;
  readonly #recent = new WeakMap<TlsPaths, { at: number; context: TlsContext }>();
  readonly #contexts = new Lru<string, Promise<TlsContext>>(MAX_CONTEXTS);

  constructor(seams: TlsSeams) {
    this.#seams = seams;
  }

  /** @throws OverlaybdError BAD_CONFIG if a file cannot be read or used */
  async of(paths: TlsPaths): Promise<TlsContext> {
    const { now, filesMs } = this.#seams;
    const recent = this.#recent.get(paths);
    if (recent && now() - recent.at < filesMs) return recent.context;
    const context = await this.#looked(paths);
    this.#recent.set(paths, { at: now(), context });
    return context;
  }

  /** Looks at the files. */
  async #looked(paths: TlsPaths): Promise<TlsContext> {
    const files = [
      ...paths.ca,
      ...paths.client.flatMap(({ certificate, key }) => [certificate, key]),
    ];
    const bundle = await this.#systemBundle();
    const ages = await Promise.all([...files, ...(bundle ? [bundle] : [])].map(versionOf));
    const key = JSON.stringify([paths, ages]);
    const known = this.#contexts.get(key);
    if (known) return known;
    const made = makeContext(paths, bundle, key);
    void this.#contexts.set(key, made);
    // A file that is being replaced is read again.
    made.catch(() => this.#contexts.delete(key));
    return made;
  }

  async #systemBundle(): Promise<string | null> {
    const named = this.#seams.env['SSL_CERT_FILE'];
    for (const path of named ? [named] : SYSTEM_BUNDLES) {
      if ((await versionOf(path)) !== null) return path;
    }
    return null;
  }
}

async function makeContext(
  paths: TlsPaths,
  bundle: string | null,
  key: string,
): Promise<TlsContext> {
  const system = bundle === null ? [...rootCertificates] : [await readSmallFile(bundle)];
  const own = await Promise.all(paths.ca.map(readSmallFile));
  const certificates = await Promise.all(
    paths.client.map((each) => readSmallFile(each.certificate)),
  );
  const keys = await Promise.all(paths.client.map((each) => readSmallFile(each.key)));
  try {
    const context = createSecureContext({
      ca: [...system, ...own],
      ...(certificates.length > 0 ? { cert: certificates, key: keys } : {}),
      minVersion: 'TLSv1.2',
    });
    return { context, isUnverified: paths.isUnverified, key };
  } catch (error) {
    const names = [...paths.ca, ...paths.client.map(({ certificate }) => certificate)].join(', ');
    throw errorOf('BAD_CONFIG', { path: `TLS files ${names}` }, tlsText(error), error);
  }
}

/** OpenSSL's texts begin with numbers, and name no file: "no start line". */
function tlsText(error: unknown): string {
  const { reason, code } = error as { reason?: unknown; code?: unknown };
  if (typeof reason !== 'string') return messageOf(error);
  const isKey = code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH';
  return isKey
    ? 'the key is not that of the certificate'
    : `OpenSSL cannot use them (${reason}): they must be PEM, and a key must have no password`;
}
