// Certificates and pre-shared keys for tests; openssl makes them at the start of a test, and none is kept.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './tools.js';

export interface Identity {
  /** Paths, PEM. */
  certificate: string;
  key: string;
  /** Their contents, in the form for tls.connect. */
  pem: { cert: string; key: string };
}

/**
 * The server's is for localhost. `alice` and `mallory` are good, but only one of them should be on a
 * list; `expired` was alice's, `stranger` has alice's name from another CA, `nameless` has no CN.
 */
export interface TestPki {
  ca: string;
  caPem: string;
  server: Identity;
  expiredServer: Identity;
  alice: Identity;
  mallory: Identity;
  expired: Identity;
  stranger: Identity;
  nameless: Identity;
  /** The keys of alice and bob, as a file and as bytes. */
  pskFile: string;
  keys: { alice: Buffer; bob: Buffer };
  /** A folder in the form for libnbd and qemu: ca-cert.pem, client-cert.pem, client-key.pem of alice. */
  clientFolder: string;
}

const ALT_NAMES = 'subjectAltName=DNS:localhost,IP:127.0.0.1\n';

export async function makePki(folder: string): Promise<TestPki> {
  const path = (name: string): string => join(folder, name);
  writeFileSync(path('ext'), ALT_NAMES);
  const [ca, otherCa] = [await makeCa(path('ca')), await makeCa(path('other'))];
  const make = (name: string, subject: string, days = 3, by = ca): Promise<Identity> =>
    issue(path(name), subject, days, by, path('ext'));
  const alice = await make('alice', '/CN=alice');
  const keys = { alice: Buffer.alloc(32, 0xa1), bob: Buffer.alloc(32, 0xb0) };
  writeFileSync(
    path('keys.psk'),
    `# a comment\nalice:${keys.alice.toString('hex')}\nbob:${keys.bob.toString('hex')}\n`,
    { mode: 0o600 },
  );
  const clientFolder = path('client');
  mkdirSync(clientFolder);
  writeFileSync(join(clientFolder, 'ca-cert.pem'), ca.pem.cert);
  writeFileSync(join(clientFolder, 'client-cert.pem'), alice.pem.cert);
  writeFileSync(join(clientFolder, 'client-key.pem'), alice.pem.key);
  writeFileSync(join(clientFolder, 'keys.psk'), readFileSync(path('keys.psk')), { mode: 0o600 });
  return {
    ca: ca.certificate,
    caPem: ca.pem.cert,
    server: await make('server', '/CN=localhost'),
    expiredServer: await make('expired-server', '/CN=localhost', -1),
    alice,
    mallory: await make('mallory', '/CN=mallory'),
    expired: await make('expired', '/CN=alice', -1),
    stranger: await make('stranger', '/CN=alice', 3, otherCa),
    nameless: await make('nameless', '/O=nobody'),
    pskFile: path('keys.psk'),
    keys,
    clientFolder,
  };
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function makeCa(base: string): Promise<Identity> {
  const files = { certificate: `${base}-cert.pem`, key: `${base}-key.pem` };
  const out = ['-keyout', files.key, '-out', files.certificate];
  await openssl('req', '-x509', ...NEW_KEY, ...out, '-days', '3', '-subj', '/CN=test CA');
  return withPem(files);
}

async function issue(
  base: string,
  subject: string,
  days: number,
  by: Identity,
  extensions: string,
): Promise<Identity> {
  const files = { certificate: `${base}-cert.pem`, key: `${base}-key.pem` };
  const request = `${base}.csr`;
  await openssl('req', ...NEW_KEY, '-keyout', files.key, '-out', request, '-subj', subject);
  const signer = ['-CA', by.certificate, '-CAkey', by.key, '-CAcreateserial'];
  const what = ['-in', request, '-out', files.certificate, '-extfile', extensions];
  await openssl('x509', '-req', ...what, ...signer, '-days', `${days}`);
  return withPem(files);
}

function withPem(files: { certificate: string; key: string }): Identity {
  const cert = readFileSync(files.certificate, 'utf8');
  return { ...files, pem: { cert, key: readFileSync(files.key, 'utf8') } };
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await runTool('openssl', args);
  if (code !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
}
