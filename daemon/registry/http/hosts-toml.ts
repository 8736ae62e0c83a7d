// containerd's hosts.toml: the mirrors of a registry, in the order of the file, and the registry last. Pure.

import { isAbsolute, join } from 'node:path';
import { withoutLogin } from '../../lib/without-login.js';
import { isTable, parseToml, textOr, textsOf } from './toml.js';

export interface HostEntry {
  /** Of the server; null for the registry itself, if the file does not say. */
  readonly url: URL | null;
  readonly canPull: boolean;
  readonly canResolve: boolean;
  /** Paths. */
  readonly ca: readonly string[];
  readonly client: readonly { readonly certificate: string; readonly key: string }[];
  readonly skipVerify: boolean;
  readonly headers: Readonly<Record<string, string>>;
  /** Whether no "/v2" is added to the path. */
  readonly overridePath: boolean;
  /** URL. */
  readonly proxy: string | null;
}

export interface HostsFile {
  readonly mirrors: readonly HostEntry[];
  readonly server: HostEntry;
}

/** Mirrors of a registry. */
const MAX_MIRRORS = 64;

/** @param folder of the file, which paths are relative to. @throws TypeError */
export function parseHostsToml(text: string, folder: string): HostsFile {
  const value = parseToml(text);
  const hosts = isTable(value['host']) ? Object.entries(value['host']) : [];
  if (hosts.length > MAX_MIRRORS) throw new TypeError(`more than ${MAX_MIRRORS} hosts`);
  const server = textOr(value['server'], null);
  return {
    mirrors: hosts.map(([url, table]) => entryOf(urlOf(url), isTable(table) ? table : {}, folder)),
    server: entryOf(server === null ? null : urlOf(server), value, folder),
  };
}

function urlOf(text: string): URL {
  const url = text.startsWith('http') ? text : `https://${text}`;
  if (!URL.canParse(url)) throw new TypeError(`${withoutLogin(text)} is not a URL`);
  return new URL(url);
}

function entryOf(
  url: URL | null,
  table: Readonly<Record<string, unknown>>,
  folder: string,
): HostEntry {
  const path = (text: string): string => (isAbsolute(text) ? text : join(folder, text));
  const capabilities = textsOf(table['capabilities']);
  const can = (what: string): boolean => capabilities.length === 0 || capabilities.includes(what);
  return {
    url,
    canPull: can('pull'),
    canResolve: can('resolve'),
    ca: textsOf(table['ca']).map(path),
    client: clientOf(table['client']).map(([certificate, key]) => {
      return { certificate: path(certificate), key: path(key) };
    }),
    skipVerify: table['skip_verify'] === true,
    headers: headersOf(table['header']),
    overridePath: table['override_path'] === true,
    proxy: textOr(table['proxy'], null),
  };
}

/** "both.pem", ["a.pem", "b.pem"], or [["a.cert", "a.key"], ...]. */
function clientOf(value: unknown): [certificate: string, key: string][] {
  const all: unknown[] = Array.isArray(value) ? value : [value];
  return all.flatMap((each): [string, string][] => {
    const [certificate, key = certificate] = textsOf(each);
    return certificate === undefined || key === undefined ? [] : [[certificate, key]];
  });
}

function headersOf(value: unknown): Record<string, string> {
  const entries = isTable(value) ? Object.entries(value) : [];
  return Object.fromEntries(
    entries.flatMap(([name, each]) => {
      const texts = textsOf(each);
      // Anything else would not be a header.
      const isHeader =
        /^[\w!#$%&'*+.^`|~-]+$/.test(name) && texts.every((text) => !/[\r\n\0]/.test(text));
      return texts.length > 0 && isHeader ? [[name.toLowerCase(), texts.join(', ')]] : [];
    }),
  );
}
