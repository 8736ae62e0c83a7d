// `overlaybd-nbd inspect` as a program: its output, exit codes, and the golden fixtures.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { ImageFacts } from '../../daemon/inspect/image-facts.js';
import { writeDemoImage } from '../support/demo-image.js';
import { fixturesRoot } from '../support/fixtures.js';
import { writeLsmt } from '../support/lsmt-writer.js';
import { runTool, type ToolResult } from '../support/tools.js';
import { PROGRAM } from '../support/program.js';

const inspect = (...args: string[]): Promise<ToolResult> =>
  runTool(process.execPath, [PROGRAM, 'inspect', ...args]);

async function facts(...paths: string[]): Promise<ImageFacts> {
  const { code, stdout, stderr } = await inspect('--json', ...paths);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout) as ImageFacts;
}

await t.test('inspect prints text and JSON of an image', async (test) => {
  const demo = writeDemoImage(test.testdir());
  const text = await inspect(demo.config);
  test.equal(text.code, 0);
  test.equal(text.stderr, '');
  test.match(
    text.stdout,
    /^\/.*config\.v1\.json\n {2}virtual size {4}8\.0 MiB \(8388608 bytes\)\n/,
  );
  test.match(text.stdout, /\n\nlayer 1: .*layer1\.obd\n/);

  const found = await facts(demo.config);
  test.match(found, {
    name: demo.config,
    virtualSize: demo.virtualSize,
    fileBytes: demo.layers.reduce((sum, { size }) => sum + size, 0),
    linkedParents: 1,
    layers: [
      { tar: { format: 'pax' }, zfile: { algorithm: 'lz4' } },
      { tar: null, zfile: { algorithm: 'zstd' }, lsmt: { parent: 'layer below' } },
    ],
  });
  const { device } = found;
  test.equal(
    (device?.mappedBytes ?? 0) + (device?.zeroedBytes ?? 0) + (device?.holeBytes ?? 0),
    demo.virtualSize,
  );
});

await t.test('inspect of an image with a million segments', async (test) => {
  const segments = Array.from({ length: 999_000 }, (_, i) => ({
    offset: i * 2,
    length: 1,
    zeroed: true,
  }));
  const path = join(test.testdir(), 'many.obd');
  writeFileSync(path, writeLsmt({ virtualSize: 2 ** 30, segments }));
  const { device, layers } = await facts(path);
  test.equal(device?.segments, 999_000);
  test.equal(layers[0]?.lsmt?.index?.zeroedSegments, 999_000);
});

await t.test('exit codes of inspect', async (test) => {
  const missing = await inspect(join(test.testdir(), 'missing\x1b[31m'));
  test.match(missing, { code: 1, stdout: '', stderr: /^overlaybd-nbd: .*missing\\u\{1b\}\[31m: / });
  test.notMatch(missing.stderr, '\x1b');
  test.match(await inspect(), {
    code: 2,
    stdout: '',
    stderr: /See overlaybd-nbd inspect --help\.$/m,
  });
  test.match(await inspect('--nonsense', 'x'), { code: 2, stdout: '' });
  const help = await inspect('--help');
  test.match(help, { code: 0, stdout: /overlaybd-nbd inspect <image\.\.>/ });
});

const root = fixturesRoot();
const absent =
  root === null && 'FIXTURES NOT FOUND: neither ../shared/fixtures nor $OVERLAYBD_FIXTURES';
if (absent !== false) t.comment(absent);

const config = (name: string): string => join(root ?? '', name, 'config.v1.json');

await t.test('inspect of the golden fixtures', { skip: absent }, async (test) => {
  const chain = await facts(config('15-uuid-chain-tag'));
  test.equal(chain.linkedParents, 2);
  test.same(
    chain.layers.map(({ lsmt }) => lsmt?.userTag),
    ['base layer: first commit', 'second layer, tag with utf8 é', 'T'.repeat(256)],
  );

  const stack = await facts(config('07-stack12-mixed'));
  test.equal(stack.layers.length, 12);
  test.match(stack.layers.slice(0, 4), [
    { tar: null, zfile: null },
    { tar: null, zfile: { algorithm: 'lz4', blockSize: 4096, mode: 'header', digest: true } },
    { tar: null, zfile: { algorithm: 'zstd', blockSize: 16384 } },
    { tar: { format: 'pax', payloadOffset: 1536 }, zfile: { algorithm: 'lz4' } },
  ]);
  const merged = await facts(config('14b-merged-raw'));
  test.equal(merged.device?.mappedBytes, stack.device?.mappedBytes, 'merged by the reference');

  const upper = await facts(config('09-rw-append-upper'));
  test.match(upper.layers[2], { role: 'upper', lsmt: { kind: 'append-only upper' } });
  const stale = await facts(config('odd-l06-header-stale'));
  test.equal(stale.virtualSize, 1 << 20, 'the trailer counts, not the header');

  const turbo = await facts(config('12c-turbooci-targz-multi-index'));
  test.match(turbo.layers, [
    { content: 'lsmt', turbo: { targetBytes: 1_139_788, plainBytes: 4_782_080, spans: 5 } },
  ]);
  const shown = await inspect(config('12-turbooci-targz'));
  test.match(shown, { code: 0, stdout: /gzip index +\S+gzip\.meta, 1 span, .* inflated$/m });
});
