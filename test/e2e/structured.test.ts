// Structured replies in libnbd: chunks, holes, errors in the middle, and the limits.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { writeSparseStack, writeZfileLayer } from '../support/e2e-images.js';
import { SECTOR } from '../support/lsmt-layout.js';
import { writeLsmt, type LsmtSegment } from '../support/lsmt-writer.js';
import { nbdsh, requireNbdsh } from '../support/nbdsh.js';
import { randomBytes } from '../support/pattern.js';

const MIB = 1 << 20;
const FLAT_SIZE = 40 * MIB;
const TINY_SIZE = 2 * MIB;

const folder = shortFolder(t);
const sparse = writeSparseStack(folder);
const flat = writeZfileLayer(join(folder, 'flat.obd'), 6, FLAT_SIZE);
const tiny = writeTiny(join(folder, 'tiny.obd'));
writeBroken(join(folder, 'flat.obd'), join(folder, 'broken.obd'));
writeFileSync(
  join(folder, 'daemon.json'),
  JSON.stringify({
    exports: {
      sparse: sparse.layers,
      flat: 'flat.obd',
      tiny: 'tiny.obd',
      broken: 'broken.obd',
    },
  }),
);
const daemon = await DaemonProcess.start(t, ['--config', join(folder, 'daemon.json')]);

/** Every second sector is data: the most extents that are possible. */
function writeTiny(path: string): Buffer {
  const device = Buffer.alloc(TINY_SIZE);
  const segments: LsmtSegment[] = [];
  for (let offset = 0; offset < TINY_SIZE / SECTOR; offset += 2) {
    const data = randomBytes(offset + 1, SECTOR);
    data.copy(device, offset * SECTOR);
    segments.push({ offset, length: 1, data });
  }
  writeFileSync(path, writeLsmt({ virtualSize: TINY_SIZE, segments }));
  return device;
}

/** A copy with one stored byte changed in the middle. */
function writeBroken(from: string, path: string): void {
  const bytes = readFileSync(from);
  const at = bytes.length >>> 1;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 0xff, at);
  writeFileSync(path, bytes);
}

interface Chunk {
  offset: number;
  length: number;
  kind: 'data' | 'hole' | 'error';
}

interface Read {
  chunks: Chunk[];
  sha256: string;
  errno: number | null;
  /** libnbd's debug messages about error replies. */
  messages: string[];
}

const sha256 = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

/** Reads in one request and returns the chunks in the order of their arrival. */
function readChunks(name: string, offset: number, length: number, flags = '0'): Promise<Read> {
  return nbdsh<Read>(`
messages = []
def log(context, message):
    if 'error' in message: messages.append(message)
    return 0
h.set_debug_callback(log)
h.set_debug(True)
h.set_strict_mode(0)
h.connect_uri(${JSON.stringify(daemon.unixUri(name))})
kinds = {nbd.READ_DATA: 'data', nbd.READ_HOLE: 'hole', nbd.READ_ERROR: 'error'}
chunks = []
def chunk(bytes, offset, status, error):
    chunks.append({'offset': offset, 'length': len(bytes), 'kind': kinds[status]})
    return 0
failure = None
got = b''
try:
    got = h.pread_structured(${length}, ${offset}, chunk, ${flags})
except nbd.Error as e:
    failure = e.errnum
# The connection must still work after any result of the read.
h.pread(1, 0)
h.shutdown()
answer({'chunks': chunks, 'sha256': hashlib.sha256(got).hexdigest(), 'errno': failure, 'messages': messages})
`);
}

/** Kind, offset and length in sectors. */
const inSectors = ({ chunks }: Read): [string, number, number][] =>
  chunks.map(({ kind, offset, length }) => [kind, offset / SECTOR, length / SECTOR]);

await t.test('holes and zeroed ranges are chunks without data', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const begin = await readChunks('sparse', 0, 400 * SECTOR);
  test.equal(begin.sha256, sha256(sparse.expected(0, 400 * SECTOR)));
  test.same(
    inSectors(begin),
    [
      ['data', 0, 290],
      ['hole', 290, 110],
    ],
    'layers are joined, and so are zeroed ranges and holes',
  );
  const at4 = (4 * 1024 ** 3) / SECTOR;
  const middle = await readChunks('sparse', (at4 - 200) * SECTOR, 400 * SECTOR);
  test.equal(middle.sha256, sha256(sparse.expected((at4 - 200) * SECTOR, 400 * SECTOR)));
  test.same(inSectors(middle), [
    ['hole', at4 - 200, 100],
    ['data', at4 - 100, 80],
    ['hole', at4 - 20, 13],
    ['data', at4 - 7, 107],
    ['hole', at4 + 100, 100],
  ]);
  const odd = await readChunks('sparse', 290 * SECTOR - 3, 7);
  test.same(
    odd.chunks,
    [
      { offset: 290 * SECTOR - 3, length: 3, kind: 'data' },
      { offset: 290 * SECTOR, length: 4, kind: 'hole' },
    ],
    'requests need no alignment',
  );
  const nothing = await readChunks('sparse', 1024 ** 3, 32 * MIB);
  test.equal(nothing.sha256, sha256(Buffer.alloc(32 * MIB)));
  test.ok(nothing.chunks.every(({ kind }) => kind === 'hole'));
});

await t.test('NBD_CMD_FLAG_DF: the reply is one chunk', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const mixed = await readChunks('sparse', 0, 400 * SECTOR, 'nbd.CMD_FLAG_DF');
  test.equal(mixed.sha256, sha256(sparse.expected(0, 400 * SECTOR)));
  test.same(inSectors(mixed), [['data', 0, 400]]);
  const hole = await readChunks('sparse', 1000 * SECTOR, 512 * SECTOR, 'nbd.CMD_FLAG_DF');
  test.same(inSectors(hole), [['hole', 1000, 512]]);
  const many = await readChunks('tiny', 0, 256 * 1024, 'nbd.CMD_FLAG_DF');
  test.equal(many.sha256, sha256(tiny.subarray(0, 256 * 1024)));
  test.equal(many.chunks.length, 1);
  const long = await readChunks('flat', 0, 256 * 1024 + 1, 'nbd.CMD_FLAG_DF');
  test.equal(long.errno, constants.errno.EOVERFLOW);
  test.match(long.messages, [/at most 262144 bytes/]);
});

await t.test('many tiny extents, and the longest read', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const small = await readChunks('tiny', 0, TINY_SIZE);
  test.equal(small.sha256, sha256(tiny));
  test.equal(small.chunks.length, TINY_SIZE / SECTOR);
  test.ok(small.chunks.every(({ kind }, i) => kind === (i % 2 === 0 ? 'data' : 'hole')));
  test.same(
    small.chunks.map(({ offset }) => offset),
    small.chunks.map((_, i) => i * SECTOR),
    'each byte once, in order',
  );
  const longest = await readChunks('flat', 5 * MIB + 1, 32 * MIB);
  test.equal(longest.errno, null);
  test.equal(longest.sha256, sha256(flat.subarray(5 * MIB + 1, 37 * MIB + 1)));
});

await t.test('a corrupt block is an error chunk with its offset and a reason', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const { chunks, errno, messages } = await readChunks('broken', 0, 32 * MIB);
  test.equal(errno, constants.errno.EIO);
  const last = chunks.at(-1) as Chunk;
  test.equal(last.kind, 'error');
  test.match(messages.join('\n'), /stored data is corrupt/);
  test.notMatch(messages.join('\n'), folder, 'clients get no paths');
  const sent = chunks.slice(0, -1);
  test.ok(sent.length > 0, 'the data before it was sent');
  const end = sent.reduce((sum, { length }) => sum + length, 0);
  test.equal(last.offset, end, 'the error is where the data ends');
  const rest = await readChunks('broken', 0, end);
  test.equal(rest.sha256, sha256(flat.subarray(0, end)), 'the part before it can be read');
  await daemon.waitForLines(/ error: .*checksum/); // it names the block
});

await t.test('simple and structured replies have the same bytes', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const both = await nbdsh<Record<string, boolean>>(`
simple = nbd.NBD()
simple.set_request_structured_replies(False)
for each in h, simple: each.set_strict_mode(0)
simple.connect_uri(${JSON.stringify(daemon.unixUri('sparse'))})
h.connect_uri(${JSON.stringify(daemon.unixUri('sparse'))})
ranges = [(0, 400 * 512), (100 * 512 - 3, 700), (4 * 2**30 - 60000, 120000), (2**30, 2**20)]
same = all(h.pread(n, at) == simple.pread(n, at) for at, n in ranges)
answer({
    'same': same,
    'structured': h.get_structured_replies_negotiated(),
    'simple': simple.get_structured_replies_negotiated(),
    'df': h.can_df(),
    'simpleDf': simple.can_df(),
    'rotational': h.is_rotational(),
    'multiConn': h.can_multi_conn(),
    'cache': h.can_cache(),
    'readOnly': h.is_read_only(),
})
`);
  test.same(both, {
    same: true,
    structured: true,
    simple: false,
    df: true,
    simpleDf: false,
    rotational: false,
    multiConn: true,
    cache: true,
    readOnly: true,
  });
});

await t.test('refused requests, and the connection goes on', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const errors = await nbdsh<Record<string, string | null>>(`
h.set_strict_mode(0)
h.connect_uri(${JSON.stringify(daemon.unixUri('flat'))})
size = h.get_size()
answer({
    'past the end': errno_of(lambda: h.pread(2, size - 1)),
    'at the end': errno_of(lambda: h.pread(1, size)),
    'far away': errno_of(lambda: h.pread(512, 2**62)),
    'unknown flag': errno_of(lambda: h.pread(512, 0, nbd.CMD_FLAG_NO_HOLE)),
    'write': errno_of(lambda: h.pwrite(b'x' * 4096, 0)),
    'trim': errno_of(lambda: h.trim(512, 0)),
    'zero': errno_of(lambda: h.zero(512, 0)),
    'flush': errno_of(lambda: h.flush()),
    'block status': errno_of(lambda: h.block_status(512, 0, lambda *args: 0)),
    'cache': errno_of(lambda: h.cache(size, 0)),
    'cache past the end': errno_of(lambda: h.cache(size, 1)),
    'good one after them': errno_of(lambda: h.pread(512, 0)),
})
`);
  test.same(errors, {
    'past the end': 'EINVAL',
    'at the end': 'EINVAL',
    'far away': 'EINVAL',
    'unknown flag': 'EINVAL',
    write: 'EPERM',
    trim: 'EPERM',
    zero: 'EPERM',
    flush: null,
    'block status': 'EINVAL',
    cache: null,
    'cache past the end': 'EINVAL',
    'good one after them': null,
  });
});

await t.test('NBD_CMD_CACHE in libnbd', async (test) => {
  if (!(await requireNbdsh(test))) return;
  const done = await nbdsh<{ holes: string | null; mixed: boolean }>(`
h.connect_uri(${JSON.stringify(daemon.unixUri('sparse'))})
holes = errno_of(lambda: h.cache(3 * 2**30, 2**20))
# Caching and reading at the same time: every request gets its own answer.
cookies = []
for i in range(32):
    cookies.append(h.aio_cache(1 << 20, i << 20))
    cookies.append(h.aio_pread(nbd.Buffer(4096), i * 4096))
while h.aio_in_flight() > 0: h.poll(-1)
mixed = all(h.aio_command_completed(cookie) for cookie in cookies)
answer({'holes': holes, 'mixed': mixed})
`);
  test.same(done, { holes: null, mixed: true });
});

await t.test('the daemon ends cleanly', async (test) => {
  await daemon.stop(test);
});
