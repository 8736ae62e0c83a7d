// Block status in libnbd and qemu-img: base:allocation and overlaybd:layer.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeDemoImage } from '../support/demo-image.js';
import { writeSparseStack } from '../support/e2e-images.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../support/lsmt-writer.js';
import { nbdsh, requireNbdsh } from '../support/nbdsh.js';
import { requireTool, runTool } from '../support/tools.js';

const TINY_SECTORS = 10_000;
const ZEROED = 0x100;
const HOLE = 0x200;

const folder = shortFolder(t);
const demo = writeDemoImage(folder);
const sparse = writeSparseStack(folder);
writeTiny(join(folder, 'tiny.obd'));
const images: Record<string, string[]> = {
  demo: [demo.config],
  sparse: sparse.layers,
  tiny: [join(folder, 'tiny.obd')],
};
writeFileSync(
  join(folder, 'daemon.json'),
  JSON.stringify({
    exports: { demo: demo.config, sparse: sparse.layers, tiny: 'tiny.obd' },
  }),
);
const daemon = await DaemonProcess.start(t, ['--config', join(folder, 'daemon.json')]);

/** Every second sector is zeroed, which is the same as a hole in base:allocation. */
function writeTiny(path: string): void {
  const segments: LsmtSegment[] = [];
  for (let offset = 0; offset < TINY_SECTORS; offset += 2) {
    segments.push({ offset, length: 1, zeroed: true });
  }
  writeFileSync(path, writeLsmt({ virtualSize: TINY_SECTORS * SECTOR, segments }));
}

interface MapEntry {
  offset: number;
  length: number;
  type: number;
  description?: string;
}

async function nbdinfoMap(name: string, context = ''): Promise<MapEntry[]> {
  const map = context === '' ? '--map' : `--map=${context}`;
  const { code, stdout, stderr } = await runTool('nbdinfo', ['--json', map, daemon.unixUri(name)]);
  if (code !== 0) throw new Error(`nbdinfo ${map}: ${stderr}`);
  return JSON.parse(stdout) as MapEntry[];
}

const inSectors = (map: readonly MapEntry[]): [number, number, number][] =>
  map.map(({ offset, length, type }) => [offset / SECTOR, length / SECTOR, type]);

function bytesByType(map: readonly MapEntry[]): Map<number, number> {
  const bytes = new Map<number, number>();
  for (const { length, type } of map) bytes.set(type, (bytes.get(type) ?? 0) + length);
  return bytes;
}

interface DeviceFacts {
  mappedBytes: number;
  zeroedBytes: number;
  holeBytes: number;
  contributions: { mappedBytes: number; zeroedBytes: number }[];
}

async function inspected(name: string): Promise<DeviceFacts> {
  const { code, stdout, stderr } = await runDaemon(['inspect', '--json', ...(images[name] ?? [])]);
  if (code !== 0) throw new Error(stderr);
  return (JSON.parse(stdout) as { device: DeviceFacts }).device;
}

const byType = ([a]: [number, number], [b]: [number, number]): number => a - b;

/** Pairs of length in sectors and flags, as libnbd returns them. */
const pairs = (...values: number[]): number[] =>
  values.map((value, i) => (i % 2 === 0 ? value * SECTOR : value));

const at4 = (4 * 1024 ** 3) / SECTOR;
const end = sparse.virtualSize / SECTOR;

await t.test('nbdinfo --map shows the allocation', async (test) => {
  if (!requireTool(test, 'nbdinfo')) return;
  test.same(
    inSectors(await nbdinfoMap('sparse')),
    [
      [0, 290, 0],
      [290, at4 - 100 - 290, 3],
      [at4 - 100, 80, 0],
      [at4 - 20, 13, 3],
      [at4 - 7, 107, 0],
      [at4 + 100, end - 50 - (at4 + 100), 3],
      [end - 50, 50, 0],
    ],
    'exact sectors, layers joined',
  );
  test.same(inSectors(await nbdinfoMap('tiny')), [[0, TINY_SECTORS, 3]]);
  const totals = await runTool('nbdinfo', ['--map', '--totals', '--json', daemon.unixUri('demo')]);
  const facts = await inspected('demo');
  const bytes = new Map(
    (JSON.parse(totals.stdout) as { type: number; size: number }[]).map((each) => [
      each.type,
      each.size,
    ]),
  );
  test.same([bytes.get(0), bytes.get(3)], [facts.mappedBytes, facts.zeroedBytes + facts.holeBytes]);
});

await t.test('nbdinfo --map=overlaybd:layer shows the layers', async (test) => {
  if (!requireTool(test, 'nbdinfo')) return;
  test.same(inSectors(await nbdinfoMap('sparse', 'overlaybd:layer')), [
    [0, 100, 0],
    [100, 50, 1],
    [150, 50, 2],
    [200, 90, 0],
    [290, 20, ZEROED | 2],
    [310, at4 - 100 - 310, HOLE],
    [at4 - 100, 80, 0],
    [at4 - 20, 13, ZEROED | 1],
    [at4 - 7, 57, 0],
    [at4 + 50, 10, 1],
    [at4 + 60, 40, 0],
    [at4 + 100, end - 50 - (at4 + 100), HOLE],
    [end - 50, 49, 0],
    [end - 1, 1, 2],
  ]);
  for (const name of Object.keys(images)) {
    const bytes = bytesByType(await nbdinfoMap(name, 'overlaybd:layer'));
    const facts = await inspected(name);
    const expected = new Map<number, number>([[HOLE, facts.holeBytes]]);
    facts.contributions.forEach(({ mappedBytes, zeroedBytes }, layer) => {
      expected.set(layer, mappedBytes);
      expected.set(ZEROED | layer, zeroedBytes);
    });
    test.same(
      [...bytes].toSorted(byType),
      [...expected].filter(([, n]) => n > 0).toSorted(byType),
      `${name}: the same as overlaybd-nbd inspect`,
    );
  }
});

await t.test('contexts are listed and selected', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const asked = await nbdsh<Record<string, string[]>>(`
def connected(queries):
    client = nbd.NBD()
    for query in queries: client.add_meta_context(query)
    client.set_opt_mode(True)
    client.connect_uri(${JSON.stringify(daemon.unixUri('sparse'))})
    return client
out = {}
for queries in [], ['base:'], ['overlaybd:'], ['overlaybd:layer'], ['qemu:', 'base:no'], ['x', '']:
    names = []
    client = connected(queries)
    client.opt_list_meta_context(lambda name: names.append(name) or 0)
    client.opt_abort()
    out['list ' + ' '.join(queries)] = names
for queries in [], ['base:'], ['base:allocation'], ['overlaybd:layer', 'no:such', 'base:allocation']:
    client = connected(queries)
    client.opt_go()
    contexts = 'base:allocation', 'overlaybd:layer', 'no:such'
    out['set ' + ' '.join(queries)] = [name for name in contexts if client.can_meta_context(name)]
    client.shutdown()
answer(out)
`);
  const all = ['base:allocation', 'overlaybd:layer'];
  test.same(asked, {
    'list ': all,
    'list base:': ['base:allocation'],
    'list overlaybd:': ['overlaybd:layer'],
    'list overlaybd:layer': ['overlaybd:layer'],
    'list qemu: base:no': [],
    'list x ': [],
    'set ': [],
    'set base:': [],
    'set base:allocation': ['base:allocation'],
    'set overlaybd:layer no:such base:allocation': all,
  });
});

await t.test('both contexts in one request, REQ_ONE, and the extent limit', async (test) => {
  if (!(await requireNbdsh(test))) return;
  interface Answer {
    both: Record<string, number[]>;
    one: Record<string, number[]>;
    odd: Record<string, number[]>;
    bounded: number;
    covered: number;
    errors: (string | null)[];
  }
  const got = await nbdsh<Answer>(`
def connect(name):
    client = nbd.NBD()
    client.add_meta_context('base:allocation')
    client.add_meta_context('overlaybd:layer')
    client.set_strict_mode(0)
    client.connect_uri(${JSON.stringify(daemon.unixUri('NAME'))}.replace('NAME', name))
    return client
def status(client, length, offset, flags=0):
    seen = {}
    def extents(context, at, entries, error):
        assert at == offset and context not in seen
        seen[context] = entries
    client.block_status(length, offset, extents, flags)
    return seen
sparse = connect('sparse')
tiny = connect('tiny')
many = status(tiny, ${TINY_SECTORS * SECTOR}, 0)['overlaybd:layer']
answer({
    'both': status(sparse, 320 * 512, 0),
    'one': status(sparse, 320 * 512, 0, nbd.CMD_FLAG_REQ_ONE),
    'odd': status(sparse, 7, 290 * 512 - 3),
    'bounded': len(many) // 2,
    'covered': sum(many[::2]),
    'errors': [
        errno_of(lambda: status(sparse, 0, 0)),
        errno_of(lambda: status(sparse, 2, sparse.get_size() - 1)),
        errno_of(lambda: status(sparse, 512, 0, nbd.CMD_FLAG_DF)),
        errno_of(lambda: status(sparse, 512, 0)),
    ],
})
`);
  test.same(got.both, {
    'base:allocation': pairs(290, 0, 30, 3),
    'overlaybd:layer': pairs(100, 0, 50, 1, 50, 2, 90, 0, 20, ZEROED | 2, 10, HOLE),
  });
  test.same(got.one, {
    'base:allocation': pairs(290, 0),
    'overlaybd:layer': pairs(100, 0),
  });
  test.same(got.odd, { 'base:allocation': [3, 0, 4, 3], 'overlaybd:layer': [3, 0, 4, ZEROED | 2] });
  test.equal(got.bounded, 4096, 'as many extents as fit into one reply');
  test.equal(got.covered, 4096 * SECTOR);
  test.same(got.errors, ['EINVAL', 'EINVAL', 'EINVAL', null]);
});

await t.test('qemu-img map shows the allocation', async (test) => {
  if (!requireTool(test, 'qemu-img')) return;
  interface QemuExtent {
    start: number;
    length: number;
    zero: boolean;
    data: boolean;
  }
  const layer = `driver=nbd,export=sparse,server.type=unix,server.path=${daemon.socketPath}`;
  const options = `driver=raw,file.${layer.replaceAll(',', ',file.')}`;
  const args = ['map', '--output=json', '--image-opts', options];
  const { code, stdout, stderr } = await runTool('qemu-img', args);
  test.equal(code, 0, stderr);
  const map = (JSON.parse(stdout) as QemuExtent[]).map(({ start, length, zero, data }) => {
    test.equal(zero, !data);
    return { offset: start, length, type: zero ? 3 : 0 };
  });
  test.same(inSectors(map), inSectors(await nbdinfoMap('sparse')), 'the same as nbdinfo');
});

await t.test('the daemon logged no warning or error', async (test) => {
  test.same(daemon.lines(/ (warn|error): /), []);
  await daemon.stop(test);
});
