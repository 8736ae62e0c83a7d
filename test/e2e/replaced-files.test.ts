// The files of the program are replaced while it runs, as a package manager does before it asks for an upgrade: all
// that the running daemon starts is of its own version.
import { cpSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { writeArchive } from '../support/archive-writer.js';
import { askRaw, socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { writeZeroedLayer } from '../support/lsmt-layout.js';
import { RawNbdClient } from '../support/nbd-client.js';

t.setTimeout(120_000);

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const ADDON = 'native/build/Release/overlaybd_nbd.node';
/** More than the main thread opens itself. */
const LARGE = 100_000;

/** The program, installed in a folder of its own. */
function install(folder: string): string {
  const product = join(folder, 'product');
  mkdirSync(product);
  for (const name of ['package.json', 'out/bundle', ADDON]) {
    cpSync(join(ROOT, name), join(product, name), { recursive: true });
  }
  return product;
}

/** Other files at the same paths. */
function replaceAll(product: string): void {
  for (const name of readdirSync(product, { recursive: true, encoding: 'utf8' })) {
    const path = join(product, name);
    if (!statSync(path).isFile()) continue;
    const bytes = name === 'package.json' ? '{ "version": "99.0.0" }' : 'not the program';
    writeFileSync(`${path}.new`, bytes);
    renameSync(`${path}.new`, path);
  }
}

await t.test('threads and the version are of the running program', async (test) => {
  const folder = shortFolder(test);
  const product = install(folder);
  const [image, large] = [join(folder, 'raw.img'), join(folder, 'large.obd')];
  const layer = join(folder, 'layer.tar.gz');
  writeFileSync(layer, gzipSync(writeArchive([{ name: 'file', content: 'text' }])));
  const bytes = writeRaw(image, 1, 100_000);
  writeZeroedLayer(large, LARGE);
  const [state, config] = [join(folder, 'state'), join(folder, 'daemon.json')];
  const serve = (exports: Record<string, string>): void =>
    writeFileSync(config, JSON.stringify({ exports }));
  serve({ raw: image });
  const args = ['--config', config, '--threads', '3', '--state', state];
  const daemon = await DaemonProcess.start(test, args, {
    main: join(product, 'out/bundle/main.js'),
  });
  await waitForControl(socketOf(state));
  const version = async (): Promise<unknown> => {
    const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
    return (JSON.parse(body) as { version: unknown }).version;
  };
  const before = await version();
  replaceAll(product);

  const clients: RawNbdClient[] = [];
  for (let i = 0; i < 3; i++) {
    // Each takes a thread of its own.
    const client = await RawNbdClient.open(daemon.unix, 'raw');
    test.same(await client.read(0, bytes.length), bytes, `client ${i}`);
    clients.push(client);
  }
  serve({ raw: image, large, layer });
  daemon.child.kill('SIGHUP');
  await daemon.waitForLines(/reloaded: 3 exports/, 1, 60_000);
  const client = await RawNbdClient.open(daemon.unix, 'large');
  test.same(await client.read(0, 4096), Buffer.alloc(4096), 'opened by the opener thread');
  const files = await RawNbdClient.open(daemon.unix, 'layer');
  const superblock = await files.read(1024, 4);
  test.equal(superblock.toString('hex'), 'e2e1f5e0', 'opened with the rest of the program');
  test.equal(await version(), before, 'not the version of the files');
  for (const each of [...clients, client, files]) each.destroy();
  await daemon.stop(test);
});

await t.test('a file that was written to in place is not run', async (test) => {
  const folder = shortFolder(test);
  const product = install(folder);
  const large = join(folder, 'large.obd');
  const image = join(folder, 'raw.img');
  const bytes = writeRaw(image, 1, 100_000);
  writeZeroedLayer(large, LARGE);
  const layer = join(folder, 'layer.tar');
  writeFileSync(layer, writeArchive([{ name: 'file', content: 'text' }]));
  const config = join(folder, 'daemon.json');
  const serve = (exports: Record<string, string>): void =>
    writeFileSync(config, JSON.stringify({ exports }));
  serve({ raw: image });
  const main = join(product, 'out/bundle/main.js');
  const daemon = await DaemonProcess.start(test, ['--config', config], { main });
  for (const name of ['opener/worker.bundle', 'main.rest.bundle']) {
    writeFileSync(join(product, 'out/bundle', name), 'not the program');
  }
  serve({ raw: image, large, layer });
  daemon.child.kill('SIGHUP');
  await daemon.waitForLines(/worker\.bundle: written to while the program runs/, 1, 60_000);
  await daemon.waitForLines(/main\.rest\.bundle: written to while the program runs/, 1, 60_000);
  const client = await RawNbdClient.open(daemon.unix, 'raw');
  test.same(await client.read(0, bytes.length), bytes, 'the daemon goes on');
  client.destroy();
  // Not stop(), which accepts no failed thread in the log.
  daemon.child.kill('SIGTERM');
  test.equal(await daemon.exited(), 0);
});
