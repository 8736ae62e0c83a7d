// Upstream's cred.json: which of its logins is for a repository; and the services that answer with one.

import { Client } from 'undici';
import type { CredentialService } from '../../config/registry-settings.js';
import { OverlaybdError } from '../../errors.js';
import { credentialOf } from './auth-file.js';
import type { Credential } from './credential.js';
import { MAX_TOKEN_ANSWER_BYTES } from './limits.js';
import { namesOf } from './names.js';
import { Deadline, untilAborted } from './waiting.js';
import type { TlsContexts } from './tls.js';

export type UpstreamLogins = readonly (readonly [key: string, value: unknown])[];

/** @throws SyntaxError or TypeError */
export function parseUpstreamLogins(text: string): UpstreamLogins {
  return loginsOf(JSON.parse(text));
}

function loginsOf(value: unknown): UpstreamLogins {
  const { auths } = (typeof value === 'object' && value !== null ? value : {}) as {
    auths?: unknown;
  };
  if (typeof auths !== 'object' || auths === null) throw new TypeError('no object "auths"');
  return Object.entries(auths);
}

/** The first in the order of the file counts, not the longest. Keys are HOST or HOST/path. */
export function upstreamLogin(
  logins: UpstreamLogins,
  host: string,
  repository: string,
): Credential | null {
  for (const [key, value] of logins) {
    const isFor = namesOf(host).some((name) => `${name}/${repository}/`.startsWith(`${key}/`));
    if (isFor && key !== '') return credentialOf(value);
  }
  return null;
}

/** For messages: without the query of its URL, which may have a secret. */
export function serviceName({ mode, address }: CredentialService): string {
  if (mode === 'uds') return address;
  return URL.canParse(address) ? new URL(address).host : 'that is not a URL';
}

/**
 * Asks the service for the logins of a repository.
 * @throws OverlaybdError AUTH, without what the service said
 */
export async function askService(
  service: CredentialService,
  host: string,
  repository: string,
  tls: TlsContexts,
  signal: AbortSignal,
): Promise<UpstreamLogins> {
  const isSocket = service.mode === 'uds';
  const name = serviceName(service);
  const failed = (why: string, cause?: unknown): OverlaybdError => {
    const message = `the credential service ${name} ${why} for ${host}/${repository}`;
    return new OverlaybdError('AUTH', message, { cause, facts: { host } });
  };
  const url = new URL(isSocket ? 'http://localhost/auth' : service.address);
  const deadline = new Deadline(service.timeout * 1000, signal);
  let client: Client | null = null;
  try {
    client = await clientOf(service, url, tls);
    const separator = url.search === '' ? '?' : '&';
    // Upstream does not escape it.
    const remote = `remote_url=https://${host}/v2/${repository}/blobs`;
    const path = `${url.pathname}${url.search}${separator}${remote}`;
    const asked = client.request({ path, method: 'GET', signal: deadline.signal });
    const answer = await untilAborted(asked, deadline.signal);
    const text = await untilAborted(answer.body.text(), deadline.signal);
    if (answer.statusCode !== 200) throw failed(`answers ${answer.statusCode}`);
    const { success, data } = JSON.parse(text) as { success?: unknown; data?: unknown };
    if (success !== true) throw failed('has no login');
    return loginsOf(data);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof OverlaybdError) throw error;
    if (deadline.isLate) throw failed(`does not answer within ${service.timeout} s`);
    throw failed('fails', error);
  } finally {
    deadline.end();
    client?.destroy().catch(() => undefined);
  }
}

async function clientOf(service: CredentialService, url: URL, tls: TlsContexts): Promise<Client> {
  const limits = { maxResponseSize: MAX_TOKEN_ANSWER_BYTES };
  if (service.mode === 'uds') {
    return new Client(url.origin, { ...limits, socketPath: service.address });
  }
  if (service.mode === 'http') return new Client(url.origin, limits);
  const { ca, certificate, key } = service;
  const client = certificate === null ? [] : [{ certificate, key: key ?? certificate }];
  const paths = { ca: ca === null ? [] : [ca], client, isUnverified: false };
  const { context } = await tls.of(paths);
  return new Client(url.origin, { ...limits, connect: { secureContext: context } });
}
