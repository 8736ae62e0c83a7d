// SIGHUP and `reload` read certificates and keys again; connected clients stay connected.
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { openTls, withCertificate, withPsk } from '../support/tls-client.js';
import { makePki, type Identity } from '../support/tls-files.js';
import { requireTool } from '../support/tools.js';

if (!requireTool(t, 'openssl')) process.exit(0);
t.setTimeout(900_000);
const folder = shortFolder(t);
const [ours, others] = [join(folder, 'ours'), join(folder, 'others')];
const image = join(folder, 'disk.img');
writeFileSync(image, Buffer.alloc(4096, 7));
mkdirSync(ours);
mkdirSync(others);
const [before, after] = [await makePki(ours), await makePki(others)];

const files = {
  cert: join(folder, 'cert.pem'),
  key: join(folder, 'key.pem'),
  ca: join(folder, 'ca.pem'),
  psk: join(folder, 'keys.psk'),
};

function install(server: Identity, ca: string): void {
  copyFileSync(server.certificate, files.cert);
  copyFileSync(server.key, files.key);
  copyFileSync(ca, files.ca);
}

const BYTES = Buffer.alloc(100, 7);

async function reads(test: Test, client: RawNbdClient, what: string): Promise<void> {
  test.same(await client.read(5, 100), BYTES, what);
}

await t.test('SIGHUP reads new certificates without a configuration file', async (test) => {
  install(before.server, before.ca);
  writeFileSync(files.psk, `alice:${before.keys.alice.toString('hex')}\n`, { mode: 0o600 });
  const args = ['--tls-cert', files.cert, '--tls-key', files.key, '--tls-ca', files.ca];
  const daemon = await DaemonProcess.start(test, [image, ...args, '--tls-psk', files.psk]);
  const old = withCertificate(before.caPem, before.alice);
  const stays = await openTls(daemon.unix, old);
  await reads(test, stays, 'with the first certificate');

  install(after.server, after.ca);
  const bob = after.keys.bob.toString('hex');
  writeFileSync(files.psk, `bob:${bob}\n`, { mode: 0o600 });
  daemon.child.kill('SIGHUP');
  await daemon.waitForLines(/ reloaded: /);
  const fresh = await openTls(daemon.unix, withCertificate(after.caPem, after.alice));
  await reads(test, fresh, 'with the new certificate and the new CA for clients');
  await test.rejects(openTls(daemon.unix, old), 'the old certificate is refused');
  const asBob = await openTls(daemon.unix, withPsk('bob', after.keys.bob));
  await reads(test, asBob, 'with a new key');
  await reads(test, stays, 'a connected client goes on');

  // A half-copied pair, as it exists for a moment while certificates are renewed.
  copyFileSync(before.server.key, files.key);
  daemon.child.kill('SIGHUP');
  const [line] = await daemon.waitForLines(/ error: reload: everything stays as it was: /);
  test.match(line, /key\.pem: not the key of the certificate in .*cert\.pem/);
  const again = await openTls(daemon.unix, withCertificate(after.caPem, after.alice));
  await reads(test, again, 'with the last valid files');
  for (const client of [stays, fresh, asBob, again]) client.destroy();
  await daemon.stop(test);
});

await t.test('`reload` turns TLS on and off with the configuration', async (test) => {
  install(before.server, before.ca);
  const [config, state] = [join(folder, 'daemon.json'), join(folder, 'state')];
  const set = (tls: object | null): void => {
    writeFileSync(config, JSON.stringify({ exports: { '': image }, ...(tls && { tls }) }));
  };
  const reload = async (): Promise<void> => {
    const { code, stderr } = await runDaemon(['reload', '--state', state]);
    test.equal(code, 0, stderr);
  };
  set(null);
  const daemon = await DaemonProcess.start(test, ['--config', config, '--state', state]);
  await waitForControl(socketOf(state));
  const plain = await RawNbdClient.open(daemon.unix);
  set({ certificate: files.cert, key: files.key });
  await reload();
  await test.rejects(RawNbdClient.open(daemon.unix), /80000005/, 'TLS is required');
  const secured = await openTls(daemon.unix, withCertificate(before.caPem));
  await reads(test, secured, 'inside TLS');
  await reads(test, plain, 'a client that connected before');
  set(null);
  await reload();
  const open = await RawNbdClient.open(daemon.unix);
  for (const client of [plain, secured, open]) {
    await reads(test, client, 'all of them');
    client.destroy();
  }
  await daemon.stop(test);
});
