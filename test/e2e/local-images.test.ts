// Images in OCI layouts and in archives of docker save: what clients read of them, and names that do not open.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t from 'tap';
import { writeArchive } from '../support/archive-writer.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeDemoImage } from '../support/demo-image.js';
import { LayoutWriter } from '../support/layout-writer.js';
import { imageManifest, sha256 } from '../support/memory-registry.js';
import { RawNbdClient } from '../support/nbd-client.js';

t.setTimeout(900_000);

const folder = shortFolder(t);
const demo = writeDemoImage(folder);
const blobs = demo.layers.map(({ file }) => readFileSync(join(dirname(demo.config), file)));

const layout = new LayoutWriter(join(folder, 'layout'));
layout.manifest(imageManifest(blobs.map((bytes) => layout.blob(bytes))), 'v1');

const config = '{"architecture":"amd64","os":"linux"}';
const id = `${sha256(config).slice('sha256:'.length)}.json`;
const names = blobs.map((_, i) => `${i}/layer.tar`);
const saved = [{ Config: id, RepoTags: ['demo:1'], Layers: names }];
const archive = join(folder, 'demo.tar');
writeFileSync(
  archive,
  writeArchive([
    ...blobs.map((content, i) => ({ name: names[i] ?? '', content })),
    { name: id, content: config },
    { name: 'manifest.json', content: JSON.stringify(saved) },
  ]),
);

/** All bytes of the export. */
async function readAll(daemon: DaemonProcess, name: string): Promise<Buffer> {
  const client = await RawNbdClient.open(daemon.unix, name);
  const bytes = await client.read(0, demo.virtualSize);
  await client.disconnect();
  return bytes;
}

await t.test('clients read the same bytes as of the files', async (test) => {
  for (const name of [
    `oci:${layout.folder}`,
    `oci:${layout.folder}:v1`,
    `docker-archive:${archive}:demo:1`,
  ]) {
    const daemon = await DaemonProcess.start(test, [name]);
    test.ok((await readAll(daemon, '')).equals(demo.device), name);
    await daemon.stop(test);
  }
});

await t.test('a configuration names them relative to its folder', async (test) => {
  const path = join(folder, 'daemon.json');
  const exports = { a: 'oci:layout:v1', b: 'docker-archive:demo.tar' };
  writeFileSync(path, JSON.stringify({ exports }));
  const daemon = await DaemonProcess.start(test, ['--config', path]);
  for (const name of Object.keys(exports)) {
    test.ok((await readAll(daemon, name)).equals(demo.device), name);
  }
  await daemon.stop(test);
});

await t.test('inspect and verify take them, too', async (test) => {
  for (const name of [`oci:${layout.folder}`, `docker-archive:${archive}`]) {
    const verified = await runDaemon(['verify', name]);
    test.equal(verified.code, 0, verified.stderr);
    test.match(verified.stdout + verified.stderr, /good: 2 layers/);
    const inspected = await runDaemon(['inspect', '--json', name]);
    test.match(JSON.parse(inspected.stdout), {
      name,
      virtualSize: demo.virtualSize,
      layers: [{}, {}],
    });
  }
});

await t.test('names that do not open', async (test) => {
  const cases: [string, RegExp][] = [
    [`oci:${layout.folder}:v2`, /index\.json has no v2; it has "v1"/],
    [`oci:${folder}`, /is not an OCI layout: it has no index\.json/],
    [
      `docker-archive:${archive}:demo:2`,
      /the archive has no docker\.io\/library\/demo:2; it has "demo:1"/,
    ],
    [`docker-archive:${join(folder, 'none.tar')}`, /none\.tar/],
  ];
  for (const [name, message] of cases) {
    const { code, stderr } = await runDaemon(['inspect', name]);
    test.not(code, 0);
    test.match(stderr, message);
  }
});
