// Images by reference: served as each tool writes them, read in few requests, inspected and verified.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { expectedSha256, fixturesRoot } from '../support/fixtures.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { writeLayerFiles } from '../support/registry/layer-files.js';
import { pushImage, pushPlain, type ImageOptions } from '../support/registry/push-image.js';
import {
  compare,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import type { LoggedRequest } from '../support/registry/request-log.js';
import { mustRun, requireTool } from '../support/tools.js';

t.setTimeout(170_000);

const MIB = 1 << 20;

const platforms = [{ os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch }];

const IMAGES: Readonly<Record<string, Partial<ImageOptions>>> = {
  convertor: { writer: 'convertor' },
  'convertor-oci': { writer: 'convertor-oci' },
  ctr: { writer: 'ctr' },
  buildkit: { writer: 'buildkit' },
  index: { writer: 'convertor', platforms },
  trace: { writer: 'ctr', trace: Buffer.from('/bin/sh\n') },
  referrer: { writer: 'convertor', plainTag: 'plain' },
  'index-referrer': { writer: 'convertor', platforms, plainTag: 'plain-index' },
};

/** What is opened, by the tag that the user says. */
const TAGS = [...Object.keys(IMAGES), 'plain', 'plain-index'];

for (const referrers of [false, true]) {
  await t.test(`images of each tool, ${referrers ? 'with' : 'without'} referrers`, async (test) => {
    const { front, layout, files } = await remoteImage(test, { front: { referrers } });
    for (const [tag, how] of Object.entries(IMAGES)) {
      await pushImage(layout, { blobs: files.blobs, tag, ...how });
    }
    const cache = join(shortFolder(test), 'cache');
    const exports = TAGS.flatMap((tag) => ['--export', `${tag}=${front.name(REPOSITORY, tag)}`]);
    const daemon = await DaemonProcess.start(test, [...exports, ...remoteOptions([front], cache)]);
    for (const tag of TAGS) {
      const client = await RawNbdClient.open(daemon.unix, tag);
      test.equal(await compare(client, files.device), null, tag);
      await client.disconnect();
    }
    await daemon.stop(test);
    test.same(front.log.violations(), []);
    test.equal(front.log.duplicateBytes(), 0, 'nothing is fetched twice');
  });
}

await t.test('what nbdcopy copies is the image', async (test) => {
  if (!requireTool(test, 'nbdcopy')) return;
  const { front, files, name } = await remoteImage(test, { files: { size: 16 << 20 } });
  const folder = shortFolder(test);
  const args = [name, ...remoteOptions([front], join(folder, 'cache'))];
  const daemon = await DaemonProcess.start(test, args);
  const copy = join(folder, 'copy.img');
  for (const from of ['registry', 'cache']) {
    await mustRun('nbdcopy', [daemon.unixUri(), copy]);
    test.ok(readFileSync(copy).equals(files.device), from);
  }
  test.equal(front.log.duplicateBytes(), 0);
  await daemon.stop(test);
});

/** Round trips until the image is open, the token exchange apart. */
const OPENINGS: readonly [what: string, redirect: 'store' | null, index: boolean, trips: number][] =
  [
    ['directly', null, false, 2],
    ['with an index', null, true, 3],
    ['with redirects', 'store', false, 3],
    ['with an index and redirects', 'store', true, 4],
  ];

for (const [what, redirect, index, trips] of OPENINGS) {
  await t.test(`a cold opening takes ${trips} round trips ${what}`, async (test) => {
    const { front, name, files, image } = await remoteImage(test, {
      front: {
        ...(redirect && { redirect }),
        auth: { scheme: 'bearer', anonymous: true },
      },
      image: index ? { platforms } : {},
    });
    // Nothing is answered until all that may be asked at the same time has been asked.
    const stall = { do: 'stall' } as const;
    const redirects = redirect && front.rule({ match: { kind: 'blob' }, action: stall });
    const data = front.rule({ match: { kind: 'data' }, action: stall });
    const args = [name, ...remoteOptions([front], join(shortFolder(test), 'cache'))];
    const starting = DaemonProcess.start(test, args);
    if (redirects) {
      for (const { digest } of image.layers) {
        await front.log.waitFor(({ kind, reference }) => kind === 'blob' && reference === digest);
      }
      redirects.release();
    }
    const asked = front.log.requests;
    const source = redirect ?? 'blob';
    for (const { digest, size } of image.layers) {
      for (const byte of [0, size - 1]) {
        await front.log.waitFor(
          (request) =>
            request.kind === source && request.reference === digest && covers(request, byte),
        );
      }
    }
    const early = asked.length;
    data.release();
    const daemon = await starting;
    const manifests = front.log.filter({ kind: 'manifest', status: 200 }).length;
    test.equal(manifests + (redirect ? 1 : 0) + 1, trips);
    const late = asked
      .slice(early)
      .map(({ kind, path, range }) => `${kind} ${path} ${range ?? ''}`);
    test.same(late, [], 'nothing more was needed');
    test.same(front.log.violations(), []);
    const client = await RawNbdClient.open(daemon.unix);
    test.equal(await compare(client, files.device, 0, MIB), null);
    client.destroy();
    await daemon.stop(test);
  });
}

function covers({ range }: LoggedRequest, byte: number): boolean {
  const [, first = '', last = ''] = /^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? [];
  return Number(first) <= byte && byte <= Number(last);
}

await t.test('inspect and verify by reference', async (test) => {
  const { front, layout, name, image } = await remoteImage(test);
  const options = remoteOptions([front], join(shortFolder(test), 'cache'));
  const inspected = await runDaemon(['inspect', name, ...options]);
  test.equal(inspected.code, 0, inspected.stderr);
  for (const { digest } of image.layers) {
    test.match(inspected.stdout, digest.slice(0, 'sha256:'.length + 12), 'each layer is there');
  }
  const verified = await runDaemon(['verify', name, ...options]);
  test.equal(verified.code, 0, verified.stdout + verified.stderr);

  await pushPlain(layout, 'ordinary');
  const ordinary = await runDaemon(['inspect', front.name(REPOSITORY, 'ordinary'), ...options]);
  test.equal(ordinary.code, 0, ordinary.stderr);
  test.match(
    ordinary.stdout,
    /\d layers? of \d (was|were) read as a whole to open it: [0-9.]+ \w+/,
  );
  const again = await runDaemon(['inspect', front.name(REPOSITORY, 'ordinary'), ...options]);
  test.equal(again.code, 0, again.stderr);
  test.notMatch(again.stdout, /read as a whole/, 'there are records');
  const absent = await runDaemon(['inspect', front.name(REPOSITORY, 'absent'), ...options]);
  test.not(absent.code, 0);
  test.match(absent.stdout + absent.stderr, /absent/);
});

await t.test('a layout is opened without a network', async (test) => {
  const folder = shortFolder(test);
  const files = writeLayerFiles(folder);
  const layout = new ImageLayout(join(folder, 'layout'));
  await pushImage(layout, { blobs: files.blobs, tag: 'app', writer: 'buildkit' });
  const options = ['--offline', '--cache-dir', join(folder, 'cache')];
  const daemon = await DaemonProcess.start(test, [`oci:${layout.folder}:app`, ...options]);
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, files.device), null);
  client.destroy();
  await daemon.stop(test);
});

const root = fixturesRoot();
const skip = root === null && 'FIXTURES NOT FOUND';

await t.test('golden images', { skip }, async (test) => {
  if (root === null || !requireTool(test, 'nbdcopy')) return;
  const folder = shortFolder(test);
  const layout = new ImageLayout(join(folder, 'layout'));
  const names = ['07-stack12-mixed', '08-tar-zfile-lz4', '11-apply-oci-2layers', '14b-merged-raw'];
  for (const name of names) {
    const config = readFileSync(join(root, name, 'config.v1.json'), 'utf8');
    const { lowers } = JSON.parse(config) as { lowers: { file: string }[] };
    const blobs = lowers.map(({ file }) => join(root, name, file));
    await pushImage(layout, { blobs, tag: name });
  }
  const front = await FaultFront.start(test, { repositories: { [REPOSITORY]: layout } });
  const exports = names.flatMap((name) => ['--export', `${name}=${front.name(REPOSITORY, name)}`]);
  const options = remoteOptions([front], join(folder, 'cache'));
  const daemon = await DaemonProcess.start(test, [...exports, ...options]);
  const copy = join(folder, 'copy.img');
  for (const name of names) {
    await mustRun('nbdcopy', [daemon.unixUri(name), copy]);
    const sum = createHash('sha256').update(readFileSync(copy)).digest('hex');
    test.equal(sum, expectedSha256(root, name), name);
  }
  await daemon.stop(test);
});
