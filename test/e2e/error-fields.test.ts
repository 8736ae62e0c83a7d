// What machines read of images that cannot be opened: fields of the lines of the log in JSON, and the same facts in the
// status. At three in the morning an operator filters by them.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { DaemonStatus } from '../../daemon/control/api.js';
import { askRaw, socketOf } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import {
  OCI_INDEX,
  OCI_MANIFEST,
  descriptor,
  encode,
  imageIndex,
  imageManifest,
  overlaybdLayer,
  sha256,
} from '../support/memory-registry.js';

t.setTimeout(280_000);

const CHILD = encode(imageManifest([overlaybdLayer('a')]));
const CHILD_DIGEST = sha256(CHILD);
const OTHER = Buffer.from('{}');
/** The descriptor says more bytes than the blob has. */
const SHORT = Buffer.alloc(512, 'LSMT');
const SHORT_SIZE = 8192;
const SHORT_DIGEST = sha256(SHORT);

const AMD64 = { platform: { os: 'linux', architecture: 'amd64' } };
const INDEX = imageIndex([descriptor(OCI_MANIFEST, CHILD, AMD64)]);
const WITH_SHORT = imageManifest([
  {
    ...overlaybdLayer('x'),
    digest: SHORT_DIGEST,
    size: SHORT_SIZE,
    annotations: {
      'containerd.io/snapshot/overlaybd/blob-digest': SHORT_DIGEST,
      'containerd.io/snapshot/overlaybd/blob-size': `${SHORT_SIZE}`,
    },
  },
]);

/** A registry that lies. @returns its host */
async function startRegistry(test: Test): Promise<string> {
  const answers: Readonly<Record<string, readonly [string, Buffer]>> = {
    '/v2/digest/manifests/1': [OCI_INDEX, encode(INDEX)],
    [`/v2/digest/manifests/${CHILD_DIGEST}`]: [OCI_MANIFEST, OTHER],
    '/v2/short/manifests/1': [OCI_MANIFEST, encode(WITH_SHORT)],
    [`/v2/short/blobs/${SHORT_DIGEST}`]: ['application/octet-stream', SHORT],
  };
  const server = createServer((request, response) => {
    const [type, bytes] = answers[request.url ?? ''] ?? [];
    response.statusCode = bytes ? 200 : 404;
    if (type !== undefined) response.setHeader('content-type', type);
    response.end(bytes);
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  test.teardown(() => server.close());
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

await t.test(
  'images that cannot be opened: fields in the log, facts in the status',
  async (test) => {
    const folder = shortFolder(test);
    const host = await startRegistry(test);
    // Nothing listens at this port, and nothing takes it meanwhile.
    const dead = '127.0.0.1:1';
    const file = (name: string, value: unknown): string => {
      const path = join(folder, name);
      writeFileSync(path, JSON.stringify(value));
      return path;
    };
    const typed = file('typed.json', { lowers: [{ file: 7 }] });
    const unknown = file('unknown.json', { lower: [{ file: 'a' }] });
    const missing = file('missing.json', { lowers: [{ file: 'not-there' }] });
    const directory = join(folder, 'directory');
    mkdirSync(directory);
    const exports = {
      gone: `docker://${host}/gone:1`,
      digest: `docker://${host}/digest:1`,
      short: `docker://${host}/short:1`,
      refused: `docker://${dead}/app:1`,
      typed,
      unknown,
      missing,
      directory,
    };
    const registries = {
      plainHttp: [host, dead],
      platform: 'linux/amd64',
      fetchDeadline: 3,
      cache: { folder: join(folder, 'cache') },
    };
    const state = join(shortFolder(test), 'state');
    const config = file('daemon.json', { exports, registries, listen: [] });
    const options = ['--config', config, '--state', state, '--log-format', 'json'];
    const daemon = await DaemonProcess.start(test, options);

    /** All fields but those that every such line has. */
    const wanted: Readonly<Record<keyof typeof exports, readonly [string, object]>> = {
      gone: [
        'NOT_FOUND',
        { host, failure: 'gone', status: 404, attempts: Number, seconds: Number },
      ],
      digest: [
        'REMOTE',
        {
          host,
          failure: 'bad',
          digest: CHILD_DIGEST,
          expected: CHILD_DIGEST,
          got: sha256(OTHER),
        },
      ],
      short: [
        'REMOTE',
        {
          host,
          failure: 'bad',
          digest: SHORT_DIGEST,
          expected: `${SHORT_SIZE} bytes`,
          got: SHORT.length,
        },
      ],
      refused: ['REMOTE', { host: dead, failure: 'retry', attempts: Number, seconds: Number }],
      typed: [
        'BAD_CONFIG',
        { path: typed, section: 'lowers.0.file', expected: 'a string', got: '7' },
      ],
      unknown: ['BAD_CONFIG', { path: unknown }],
      missing: [
        'NOT_FOUND',
        { path: missing, section: 'lowers.0', blob: join(folder, 'not-there') },
      ],
      directory: ['UNSUPPORTED', { blob: directory }],
    };
    for (const [name, [code, facts]] of Object.entries(wanted)) {
      const [line = ''] = await daemon.waitForLines(
        new RegExp(`"export":"${name}".*is not served`),
      );
      const fields = JSON.parse(line) as Record<string, unknown>;
      const image = exports[name as keyof typeof exports];
      test.match(fields, { level: 'error', export: name, image, code, tries: 1, ...facts }, name);
    }
    const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
    const status = JSON.parse(body) as DaemonStatus;
    for (const { name, problem } of status.exports) {
      const [code, facts] = wanted[name as keyof typeof exports];
      test.match(problem, { code, facts, message: String }, `${name} in the status`);
    }
    test.match(
      status.exports.find(({ name }) => name === 'unknown')?.problem?.message,
      /the key "lower": did you mean "lowers"\?/,
    );
    await daemon.stop(test);
  },
);

await t.test('verify --json has the facts of a problem', async (test) => {
  const folder = shortFolder(test);
  const path = join(folder, 'config.v1.json');
  writeFileSync(path, JSON.stringify({ lowers: [{ file: 'not-there' }] }));
  const { code, stdout } = await runDaemon(['verify', '--json', path]);
  test.equal(code, 1);
  const facts = { path, section: 'lowers.0', blob: join(folder, 'not-there') };
  test.match(JSON.parse(stdout), { problems: [{ code: 'NOT_FOUND', facts }] });
});

await t.test('a key of daemon.json that is unknown is named with the file', async (test) => {
  const path = join(shortFolder(test), 'daemon.json');
  writeFileSync(path, '{"exprots":{}}');
  const { code, stderr } = await runDaemon(['serve', '--config', path]);
  test.equal(code, 2);
  test.match(stderr, `${path}: unknown key "exprots"; did you mean "exports"?`);
});
