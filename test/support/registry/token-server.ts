// Gives the tokens that docker-registry's `auth: token` takes: JWTs, signed with a key made for the test.
import { createSign, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Test } from 'tap';
import { shortFolder } from '../daemon-process.js';
import { mustRun } from '../tools.js';

export interface TokenServerOptions {
  readonly user: string;
  readonly password: string;
  /** Whether it gives tokens for pulling to those without a password. */
  readonly anonymousPull?: boolean;
  /** Seconds; 300 if left out. */
  readonly ttl?: number;
}

export interface TokenServer {
  readonly realm: string;
  /** The path of the certificate, which the registry trusts. */
  readonly certificate: string;
  /** Tokens given out so far. */
  issued(): number;
}

interface Access {
  type: string;
  name: string;
  actions: string[];
}

export async function startTokenServer(t: Test, options: TokenServerOptions): Promise<TokenServer> {
  const folder = shortFolder(t);
  const [key, certificate] = [join(folder, 'key.pem'), join(folder, 'certificate.pem')];
  const newKey = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', certificate];
  await mustRun('openssl', ['req', '-x509', ...newKey, '-days', '2', '-subj', '/CN=token']);
  const der = new X509Certificate(readFileSync(certificate)).raw.toString('base64');
  const pem = readFileSync(key);
  let issued = 0;
  const server = createServer((request, response) => {
    const { searchParams } = new URL(request.url ?? '/', 'http://token');
    if (request.method !== 'GET') {
      response.writeHead(404).end();
      return;
    }
    const access = accessOf(request, searchParams.getAll('scope'), options);
    response.setHeader('Content-Type', 'application/json');
    if (access === null) {
      response.writeHead(401).end(JSON.stringify({ errors: [{ code: 'UNAUTHORIZED' }] }));
      return;
    }
    const { ttl = 300 } = options;
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: 'test',
      sub: '',
      aud: searchParams.get('service'),
      exp: now + ttl,
      nbf: now - 5,
      iat: now,
      jti: randomBytes(8).toString('hex'),
      access,
    };
    issued++;
    const token = signed({ typ: 'JWT', alg: 'RS256', x5c: [der] }, claims, pem);
    response.end(JSON.stringify({ token, expires_in: ttl }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { realm: `http://127.0.0.1:${port}/token`, certificate, issued: () => issued };
}

/** @returns null if the request shall have no token */
function accessOf(
  request: IncomingMessage,
  scopes: readonly string[],
  { user, password, anonymousPull = false }: TokenServerOptions,
): Access[] | null {
  const { authorization } = request.headers;
  const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
  if (authorization === undefined ? !anonymousPull : authorization !== basic) return null;
  const may = authorization === undefined ? ['pull'] : ['pull', 'push'];
  return scopes
    .flatMap((scope) => scope.split(' '))
    .map((scope) => {
      const [, type = '', name = '', actions = ''] = /^([^:]*):(.*):([^:]*)$/.exec(scope) ?? [];
      return { type, name, actions: actions.split(',').filter((each) => may.includes(each)) };
    })
    .filter(({ actions }) => actions.length > 0);
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

function signed(header: object, claims: object, key: Buffer): string {
  const text = `${encode(header)}.${encode(claims)}`;
  return `${text}.${createSign('sha256').update(text).sign(key, 'base64url')}`;
}
