// Where a redirect leads, and whether it may be followed. Pure.

import { Failure } from './failure.js';
import { MAX_LOCATION_LENGTH } from './limits.js';

export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/**
 * @param value the header; relative to `base`
 * @param plainHosts that may be asked over plain http, besides the host of `base`
 * @throws Failure bad or refused
 */
export function locationOf(
  value: string | string[] | undefined,
  base: URL,
  status: number,
  plainHosts: readonly string[],
): URL {
  const text = Array.isArray(value) ? value[0] : value;
  const facts = { host: base.host, status };
  if (text === undefined || text === '') {
    throw new Failure('bad', `answers ${status} without a Location`, facts);
  }
  if (text.length > MAX_LOCATION_LENGTH) {
    const what = `redirects to a URL of more than ${MAX_LOCATION_LENGTH} characters`;
    throw new Failure('bad', what, facts);
  }
  let url: URL;
  try {
    url = new URL(text, base);
  } catch {
    throw new Failure('bad', 'redirects to a URL that is not valid', facts);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw new Failure('refused', 'redirects to a URL that is not of HTTP', facts);
  }
  if (base.protocol === 'https:' && url.protocol === 'http:') {
    throw new Failure('refused', `redirects from https to http (${url.host})`, facts);
  }
  if (url.protocol === 'http:' && !mayBePlain(url, base, plainHosts)) {
    throw new Failure('refused', `redirects to ${unnamed(url)}`, facts);
  }
  // A user name and a password in the URL would be sent as a login.
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

/** Whether `url` may be asked over plain http: its host is that of `base`, on any port, or an option names it. */
export function mayBePlain(url: URL, base: URL, plainHosts: readonly string[]): boolean {
  return url.hostname === base.hostname || plainHosts.includes(url.host);
}

/** For the message about a host for which {@link mayBePlain} is false. */
export function unnamed({ host }: URL): string {
  return `${host} over plain http, which no option allows; if that is right, add --plain-http ${host}`;
}
