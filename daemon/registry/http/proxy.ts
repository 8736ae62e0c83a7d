// Which proxy leads to a host: HTTPS_PROXY, HTTP_PROXY, NO_PROXY, as Go's programs and curl read them. Pure.

import { BlockList, isIP } from 'node:net';

export interface ProxySettings {
  /** URLs; null: none. */
  readonly https: string | null;
  readonly http: string | null;
  readonly exceptions: readonly Exception[];
}

type Exception =
  | { readonly kind: 'all' }
  | { readonly kind: 'network'; readonly list: BlockList }
  /** `name` without its dot; with `isDomain`, what is below it counts, too. */
  | {
      readonly kind: 'name';
      readonly name: string;
      readonly port: string | null;
      readonly isOnlyBelow: boolean;
    };

/** Entries of NO_PROXY that are looked at. */
const MAX_EXCEPTIONS = 1024;

export function proxySettings(env: NodeJS.ProcessEnv): ProxySettings {
  const value = (name: string): string | null => {
    const text = env[name.toLowerCase()] || env[name] || '';
    if (text === '') return null;
    return text.includes('://') ? text : `http://${text}`;
  };
  const list = env['no_proxy'] || env['NO_PROXY'] || '';
  const words = list.split(/[\s,]+/).filter((each) => each !== '');
  return {
    https: value('HTTPS_PROXY'),
    http: value('HTTP_PROXY'),
    exceptions: words.slice(0, MAX_EXCEPTIONS).flatMap((each) => exceptionOf(each) ?? []),
  };
}

/** The URL of the proxy to ask for that URL; null: the host is asked itself. */
export function proxyFor(url: URL, settings: ProxySettings): string | null {
  const proxy = url.protocol === 'https:' ? settings.https : settings.http;
  if (proxy === null) return null;
  const host = url.hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  if (isLoopback(host) && !isLoopback(hostOf(proxy))) return null;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return settings.exceptions.some((each) => isMatch(each, host, port)) ? null : proxy;
}

function bareHost({ hostname }: URL): string {
  return hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
}

function hostOf(proxy: string): string {
  return URL.canParse(proxy) ? bareHost(new URL(proxy)) : '';
}

/** A proxy on another machine would reach itself. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

function exceptionOf(word: string): Exception | null {
  const text = word.toLowerCase();
  if (text === '*') return { kind: 'all' };
  const slash = text.indexOf('/');
  if (slash >= 0) return networkOf(text.slice(0, slash), text.slice(slash + 1));
  // An IPv6 address has colons but, without brackets, no port.
  const bracketed = /^\[(.+)\](?::(\d+))?$/.exec(text);
  const plain = isIP(text) === 6 ? null : /^([^:]*)(?::(\d+))?$/.exec(text);
  const name = bracketed?.[1] ?? plain?.[1] ?? text;
  const port = bracketed?.[2] ?? plain?.[2] ?? null;
  const isOnlyBelow = /^\*?\./.test(name);
  const bare = name.replace(/^\*?\./, '').replace(/\.$/, '');
  return bare === '' ? null : { kind: 'name', name: bare, port, isOnlyBelow };
}

function networkOf(address: string, prefix: string): Exception | null {
  const family = isIP(address);
  const bits = /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (family === 0 || bits < 0 || bits > (family === 4 ? 32 : 128)) return null;
  const list = new BlockList();
  list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  return { kind: 'network', list };
}

function isMatch(exception: Exception, host: string, port: string): boolean {
  switch (exception.kind) {
    case 'all':
      return true;
    case 'network': {
      const family = isIP(host);
      return family !== 0 && exception.list.check(host, family === 4 ? 'ipv4' : 'ipv6');
    }
    case 'name': {
      if (exception.port !== null && exception.port !== port) return false;
      if (isIP(exception.name) !== 0 || isIP(host) !== 0) return exception.name === host;
      if (host.endsWith(`.${exception.name}`)) return true;
      return !exception.isOnlyBelow && host === exception.name;
    }
  }
}
