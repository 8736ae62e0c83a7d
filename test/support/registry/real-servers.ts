// docker-registry, nginx as a mirror and squid as a proxy, each with a configuration of its own in a folder of the
// test. They need no root, and know nothing of a server of the same kind that the machine runs.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { shortFolder } from '../daemon-process.js';
import type { Identity } from '../tls-files.js';
import { mustRun } from '../tools.js';
import { accepts, freePort, startServer } from './server-process.js';

export interface DockerRegistryOptions {
  readonly tls?: Identity;
  readonly auth?:
    | { readonly kind: 'htpasswd'; readonly user: string; readonly password: string }
    /** @see TokenServer */
    | { readonly kind: 'token'; readonly realm: string; readonly certificate: string };
}

export interface RunningServer {
  /** "127.0.0.1:PORT" */
  readonly host: string;
  readonly url: string;
  stop(): Promise<void>;
}

/** docker-registry with an empty store. It needs htpasswd, too, if it has passwords. */
export async function startDockerRegistry(
  t: Test,
  { tls, auth }: DockerRegistryOptions = {},
): Promise<RunningServer> {
  const folder = shortFolder(t);
  const http = {
    addr: '127.0.0.1:0',
    secret: 'test',
    ...(tls && { tls: { certificate: tls.certificate, key: tls.key } }),
  };
  const config = {
    version: 0.1,
    log: { level: 'info', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(folder, 'data') },
      redirect: { disable: true },
    },
    http,
    ...(auth && { auth: await authOf(folder, auth) }),
  };
  const path = join(folder, 'registry.yml');
  writeFileSync(path, JSON.stringify(config)); // JSON is YAML
  const listening = /listening on (127\.0\.0\.1:\d+)/;
  const server = await startServer(t, 'docker-registry', ['serve', path], (output) =>
    listening.test(output),
  );
  const host = listening.exec(server.output())?.[1] ?? '';
  return { host, url: `${tls ? 'https' : 'http'}://${host}`, stop: () => server.stop() };
}

async function authOf(
  folder: string,
  auth: NonNullable<DockerRegistryOptions['auth']>,
): Promise<object> {
  if (auth.kind === 'token') {
    const { realm, certificate } = auth;
    return { token: { realm, service: 'test', issuer: 'test', rootcertbundle: certificate } };
  }
  const path = join(folder, 'htpasswd');
  writeFileSync(path, await mustRun('htpasswd', ['-nbB', auth.user, auth.password]));
  return { htpasswd: { realm: 'test', path } };
}

export interface MirrorOptions {
  /** Of the registry. */
  readonly upstream: RunningServer;
  /** The CA of the registry, a path; if it has TLS. */
  readonly ca?: string;
  /** What the mirror sends to the registry as Authorization. */
  readonly authorization?: string;
  /**
   * Whether nginx asks for slices of 1 MiB and caches those. Without it fetches a blob as a whole before it answers
   * a range at its end, which is how most people configure it.
   */
  readonly slices: boolean;
}

/** A caching mirror, over plain http. */
export async function startNginxMirror(t: Test, options: MirrorOptions): Promise<RunningServer> {
  const folder = shortFolder(t);
  const port = await freePort();
  const { upstream, ca, authorization, slices } = options;
  const toUpstream = [
    'proxy_http_version 1.1;',
    `proxy_set_header Host ${upstream.host};`,
    ...(authorization === undefined ? [] : [`proxy_set_header Authorization "${authorization}";`]),
  ];
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${join(folder, name)};`,
  );
  const sliced = [
    'slice 1m;',
    'proxy_cache_key "$uri$slice_range";',
    'proxy_set_header Range $slice_range;',
    'proxy_cache_valid 200 206 1h;',
    // Headers that are set here replace those of the level above.
    ...toUpstream,
  ];
  const whole = ['proxy_cache_key "$uri";', 'proxy_cache_valid 200 1h;'];
  const config = `
    daemon off; master_process off; pid ${join(folder, 'pid')}; error_log stderr warn;
    events { worker_connections 256; }
    http {
      access_log ${join(folder, 'access.log')};
      ${temporary.join(' ')}
      proxy_cache_path ${join(folder, 'cache')} levels=1:2 keys_zone=blobs:4m max_size=200m;
      ${ca === undefined ? '' : `proxy_ssl_trusted_certificate ${ca}; proxy_ssl_verify on; proxy_ssl_name localhost;`}
      ${toUpstream.join(' ')}
      server {
        listen 127.0.0.1:${port};
        location ~ ^/v2/.+/blobs/sha256: {
          proxy_cache blobs; proxy_cache_lock on; ${(slices ? sliced : whole).join(' ')}
          proxy_pass ${upstream.url};
        }
        location / { proxy_pass ${upstream.url}; }
      }
    }`;
  const path = join(folder, 'nginx.conf');
  writeFileSync(path, config);
  const words = ['-p', folder, '-c', path, '-e', 'stderr'];
  const server = await startServer(t, 'nginx', words, () => accepts(port));
  const host = `127.0.0.1:${port}`;
  return { host, url: `http://${host}`, stop: () => server.stop() };
}

export interface Proxy extends RunningServer {
  /** A line for each request, with its method and where it went. */
  readonly log: string;
}

/** A forward proxy without a cache, for HTTPS_PROXY. */
export async function startSquid(t: Test): Promise<Proxy> {
  const folder = shortFolder(t);
  const port = await freePort();
  const log = join(folder, 'access.log');
  // It is in the names of its shared memory.
  const name = `obd${process.pid}x${port}`;
  // Started by root, it becomes another user.
  chmodSync(folder, 0o777);
  const config = [
    `http_port 127.0.0.1:${port}`,
    'cache deny all',
    'acl local dst 127.0.0.0/8',
    'http_access allow local',
    'http_access deny all',
    'pinger_enable off',
    'shutdown_lifetime 0 seconds',
    `access_log stdio:${log}`,
    `cache_log ${join(folder, 'cache.log')}`,
    `pid_filename ${join(folder, 'pid')}`,
    `coredump_dir ${folder}`,
    'visible_hostname localhost',
  ];
  const path = join(folder, 'squid.conf');
  writeFileSync(path, `${config.join('\n')}\n`);
  const words = ['-N', '-n', name, '-f', path];
  const server = await startServer(t, 'squid', words, () => accepts(port));
  const host = `127.0.0.1:${port}`;
  return { host, url: `http://${host}`, log, stop: () => server.stop() };
}
