// The secrets of a request, and whether a text repeats one of them: servers show in their errors what they were sent.
// Pure.

import type { Outgoing } from './wire.js';

/** Header fields that have no secret. Others are tokens, passwords, or what an operator's hosts.toml adds. */
const OPEN_HEADERS: ReadonlySet<string> = new Set([
  'accept',
  'accept-encoding',
  'content-type',
  'if-none-match',
  'range',
]);
/** Parameters of queries and forms that have no secret. Others may be signatures. */
const OPEN_PARAMETERS: ReadonlySet<string> = new Set([
  'client_id',
  'grant_type',
  'ns',
  'scope',
  'service',
  'username',
]);
/** Characters of a secret, in a row, that a text must not have: a server may cut what it repeats. */
const PART_LENGTH = 8;
/** Characters of a text that are compared. */
const MAX_COMPARED = 1024;

/** Whether the text has a secret of the request, or a part of one, as it was sent or decoded. */
export function hasSecretOf(
  request: Pick<Outgoing, 'url' | 'headers' | 'body' | 'route'>,
  text: string,
): boolean {
  const secrets = secretsOf(request);
  return decodings(text.slice(0, MAX_COMPARED)).some((each) => {
    return secrets.some((secret) => hasPartOf(secret, each));
  });
}

function hasPartOf(secret: string, text: string): boolean {
  if (secret.length <= PART_LENGTH) return secret !== '' && text.includes(secret);
  for (let at = 0; at + PART_LENGTH <= text.length; at++) {
    if (secret.includes(text.slice(at, at + PART_LENGTH))) return true;
  }
  return false;
}

function secretsOf({
  url,
  headers,
  body = '',
  route,
}: Pick<Outgoing, 'url' | 'headers' | 'body' | 'route'>): string[] {
  const texts: string[] = [];
  for (const [name, value] of Object.entries(headers)) {
    if (!OPEN_HEADERS.has(name)) texts.push(...loginsOf(value));
  }
  // Signatures are longer than a part. Stores have values such as "sp=r" in their URLs, too, which most texts have in them.
  const query = parametersOf(url.searchParams).filter((value) => value.length >= PART_LENGTH);
  texts.push(...query, ...parametersOf(new URLSearchParams(body)));
  if (route.proxy !== null && URL.canParse(route.proxy)) {
    const { username, password } = new URL(route.proxy);
    const pair = `${decoded(username)}:${decoded(password)}`;
    texts.push(decoded(password), Buffer.from(pair).toString('base64'));
  }
  return texts.flatMap((each) => [each, each.toLowerCase()]);
}

function parametersOf(parameters: URLSearchParams): string[] {
  return [...parameters].flatMap(([name, value]) => (OPEN_PARAMETERS.has(name) ? [] : [value]));
}

/** The value of an Authorization without its scheme; of Basic the password, too. */
function loginsOf(value: string): string[] {
  const [, scheme, code] = /^(\w+) (\S+)$/.exec(value) ?? [];
  if (scheme === undefined || code === undefined) return [value];
  if (scheme !== 'Basic') return [code];
  const pair = Buffer.from(code, 'base64').toString();
  return [code, pair.slice(pair.indexOf(':') + 1)];
}

function decodings(text: string): string[] {
  return [text, decoded(text), decoded(text.replaceAll('+', ' '))];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
