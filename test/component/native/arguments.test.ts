// Every argument of every function of the addon with every kind of wrong value; and the error of the loader.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { addon } from '../../../daemon/native/addon.js';
import { CODEC_LZ4, codecs } from '../../../daemon/native/block-decoder.js';
import { decodeAhead } from '../../../daemon/native/decode-ahead.js';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { MAX_DESCRIPTORS, descriptors } from '../../../daemon/native/descriptors.js';
import { files } from '../../../daemon/native/file.js';
import { sockets } from '../../../daemon/native/socket.js';

type Loose = (...args: unknown[]) => unknown;

/** All functions, by part and name: 'sockets.recv'. */
const functions = new Map(
  Object.entries(addon as Record<string, Record<string, Loose>>).flatMap(([part, all]) =>
    Object.entries(all).map(([name, call]) => [`${part}.${name}`, call] as [string, Loose]),
  ),
);

const NO_SUCH_FD = 1_000_000;
const buffer = Buffer.alloc(16);
const bounds = Uint32Array.of(0, 8, 16);
const noSuch = Int32Array.of(NO_SUCH_FD);
const ended = (): void => {};
decodeAhead.open();

/** A valid call of each function, with the kind of each argument. */
const calls: Record<string, { args: unknown[]; kinds: string }> = {
  'attributes.makeNode': { args: [NO_SUCH_FD, buffer.subarray(0, 0), 0, 0, 0], kinds: 'n b n n n' },
  'attributes.setTimes': { args: [NO_SUCH_FD, buffer.subarray(0, 0), 0, 0, 0], kinds: 'n b n n n' },
  'attributes.setXattr': {
    args: [NO_SUCH_FD, buffer.subarray(0, 0), Buffer.from('user.x'), buffer],
    kinds: 'n b b b',
  },
  'attributes.listXattrs': { args: [NO_SUCH_FD, buffer.subarray(0, 0), buffer], kinds: 'n b b' },
  'attributes.getXattr': {
    args: [NO_SUCH_FD, buffer.subarray(0, 0), Buffer.from('user.x'), buffer],
    kinds: 'n b b b',
  },
  'sockets.listenTcp': { args: ['name', 0, 1], kinds: 's n n' },
  'sockets.listenUnix': { args: ['', 1, 0o600, 0, 0], kinds: 's n o o o' },
  // The CID of the hypervisor, which a guest never has.
  'sockets.listenVsock': { args: [0, 1, 1], kinds: 'n n n' },
  'sockets.adoptListener': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.probeUnix': { args: [''], kinds: 's' },
  'sockets.accept': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.keepAlive': { args: [NO_SUCH_FD, 60], kinds: 'n n' },
  'sockets.userTimeout': { args: [NO_SUCH_FD, 1000], kinds: 'n n' },
  'sockets.raiseSendBuffer': { args: [NO_SUCH_FD, 1000], kinds: 'n n' },
  'sockets.localPort': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.localName': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.peerUid': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.untaken': { args: [NO_SUCH_FD], kinds: 'n' },
  'inflaters.run': {
    args: [0, buffer, 0, 16, Buffer.alloc(8), 0, 8, 0, new Int32Array(4)],
    kinds: 'n b n n b n n n i',
  },
  'inflaters.window': { args: [0, Buffer.alloc(32_768)], kinds: 'n b' },
  'inflaters.close': { args: [0], kinds: 'n' },
  'zstdStreams.run': {
    args: [0, buffer, 0, 16, Buffer.alloc(8), 0, 8, new Int32Array(2)],
    kinds: 'n b n n b n n i',
  },
  'zstdStreams.close': { args: [0], kinds: 'n' },
  'blockOffsets.addLengths': {
    args: [buffer, 0, Buffer.alloc(8), buffer, 0, 0, 0, 0, 0, 1, 0],
    kinds: 'b n b b n n n n n n n',
  },
  'memory.releasePages': { args: [buffer], kinds: 'b' },
  'sockets.peerPid': { args: [NO_SUCH_FD], kinds: 'n' },
  'descriptors.takeStandard': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.peerAddress': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.recv': { args: [NO_SUCH_FD, buffer, 0, 16], kinds: 'n b n n' },
  'sockets.send': { args: [NO_SUCH_FD, buffer, 0, 16], kinds: 'n b n n' },
  'sockets.shutdown': { args: [NO_SUCH_FD, 1], kinds: 'n n' },
  'descriptors.close': { args: [NO_SUCH_FD], kinds: 'n' },
  'files.readAtHand': { args: [NO_SUCH_FD, buffer, 0, 16, 0], kinds: 'n b n n n' },
  'filePipes.make': { args: [new Int32Array(2), 4096], kinds: 'i n' },
  'filePipes.fill': { args: [NO_SUCH_FD, 0, NO_SUCH_FD, 16], kinds: 'n n n n' },
  'filePipes.drain': { args: [NO_SUCH_FD, NO_SUCH_FD, 16], kinds: 'n n n' },
  'files.onJobEnd': { args: [ended], kinds: 'f' },
  'files.startOpen': { args: [1, '052727c6ca7504fb'], kinds: 'n s' },
  'files.startExists': { args: [1, '052727c6ca7504fb'], kinds: 'n s' },
  'files.startLoad': { args: [1, NO_SUCH_FD, 0, 16], kinds: 'n n n n' },
  'files.startPrefetch': { args: [1, NO_SUCH_FD, 0, 16], kinds: 'n n n n' },
  'files.startExtents': { args: [1, NO_SUCH_FD, 0, 16, 16], kinds: 'n n n n n' },
  'files.close': { args: [NO_SUCH_FD], kinds: 'n' },
  'sockets.connectUnix': { args: [''], kinds: 's' },
  'sockets.peerClosed': { args: [NO_SUCH_FD], kinds: 'n' },
  'descriptors.send': { args: [NO_SUCH_FD, buffer, 0, 16, noSuch], kinds: 'n b n n i' },
  'descriptors.recv': { args: [NO_SUCH_FD, buffer, 0, 16, new Int32Array(1)], kinds: 'n b n n i' },
  'netlink.connect': {
    // The kernel refuses a descriptor that is not open.
    args: [-1, 4096, 512, -1, -1, 0, -1, '', noSuch],
    kinds: 'm n n m m n m s i',
  },
  'netlink.reconfigure': { args: [2 ** 20, -1, -1, -1, '', noSuch], kinds: 'n m m m s i' },
  'netlink.disconnect': { args: [2 ** 20], kinds: 'n' },
  'ioctl.connect': {
    args: ['/dev/null', 4096, 512, -1, 0, noSuch, ended],
    kinds: 's n n m n i f',
  },
  'ioctl.disconnect': { args: ['/dev/null'], kinds: 's' },
  'descriptors.lockFile': { args: [NO_SUCH_FD], kinds: 'n' },
  'descriptors.cloexec': { args: [NO_SUCH_FD, 1], kinds: 'n n' },
  'process.notify': { args: ['', ''], kinds: 's s' },
  // By then there is no peer.
  'process.exitWithin': { args: [3_600_000, 0], kinds: 'n n' },
  'process.hasCapability': { args: [0], kinds: 'n' },
  'cacheFiles.lock': { args: [NO_SUCH_FD, 0, 1, 0], kinds: 'n n n n' },
  'cacheFiles.memory': { args: [0], kinds: 'n' },
  'cacheFiles.startOpen': { args: [1, '/proc/nonexistent/file', 0, 0, 1], kinds: 'n s n n n' },
  'cacheFiles.startStore': {
    args: [1, NO_SUCH_FD, 0, buffer, NO_SUCH_FD, 0, buffer],
    kinds: 'n n n b n n b',
  },
  'cacheFiles.startChecksum': { args: [1, NO_SUCH_FD, 0, 16, 0], kinds: 'n n n n n' },
  'cacheFiles.startPunch': {
    args: [1, NO_SUCH_FD, 0, 16, NO_SUCH_FD, 0, 8],
    kinds: 'n n n n n n n',
  },
  'crc32c.crc32c': { args: [buffer, 0, 16, 0], kinds: 'b n n n' },
  'crc32c.crc32cVerifyBlocks': { args: [buffer, 0, bounds, 1, 0], kinds: 'b n u n n' },
  'poll.spin': { args: [0], kinds: 'n' },
  'codecs.version': { args: [CODEC_LZ4], kinds: 'n' },
  'ahead.add': {
    args: [CODEC_LZ4, 0, bounds, 1, 0, 8, 8, 8, 4, 0, -1, 0],
    kinds: 'n n u n n n n n n n m n',
  },
  'ahead.finish': { args: [0], kinds: 'n' },
  'codecs.canDecodeBegin': { args: [CODEC_LZ4], kinds: 'n' },
  'codecs.decodeBlocks': {
    args: [CODEC_LZ4, buffer, 0, bounds, 0, 1, Buffer.alloc(8), 0, 8, 8, 8, 4, 0],
    kinds: 'n b n u n n b n n n n n n',
  },
  'codecs.decodeZstdBegin': { args: [buffer, Buffer.alloc(8)], kinds: 'b b' },
  'codecs.decodeElsewhere': { args: [CODEC_LZ4, buffer, 8, 0], kinds: 'n b n n' },
};

const noLz4 = codecs.version(CODEC_LZ4) === '' ? 'no liblz4 on this machine' : false;

const notNumbers: unknown[] = [undefined, null, '1', 1n, true, {}, [1], { valueOf: () => 1 }];
const notIntegers = [-1, -0.5, 0.5, NaN, Infinity, -Infinity, 2 ** 53, 1e300];
const notBuffers = [
  undefined,
  null,
  'x',
  5,
  {},
  [1],
  new ArrayBuffer(16),
  new DataView(buffer.buffer),
];
const otherArrays = [new Uint16Array(16), new Int8Array(16), new Float64Array(16)];

function wrongOnes(kind: string | undefined): { types: unknown[]; ranges: unknown[] } {
  if (kind === 'n') return { types: notNumbers, ranges: notIntegers };
  // -1 means that it is left out.
  if (kind === 'm') return { types: notNumbers, ranges: notIntegers.slice(1).concat(-2) };
  if (kind === 'f') return { types: [undefined, null, 'x', {}, 5], ranges: [] };
  if (kind === 'i') {
    return {
      types: [...notBuffers, ...otherArrays, bounds],
      ranges: [new Int32Array(MAX_DESCRIPTORS + 1)],
    };
  }
  // The argument is optional.
  if (kind === 'o') return { types: notNumbers.slice(1), ranges: notIntegers };
  if (kind === 's') return { types: [undefined, null, 5, {}, buffer], ranges: ['a\0b'] };
  if (kind === 'u') return { types: [...notBuffers, ...otherArrays, buffer], ranges: [] };
  return { types: [...notBuffers, ...otherArrays, bounds], ranges: [] };
}

await t.test('every function of the addon is in the list above', async (test) => {
  const without = [
    'poll.Poll',
    'ahead.open',
    'ahead.begin',
    'ahead.wake',
    'ahead.helped',
    'sockets.pair',
    'inflaters.open',
    'zstdStreams.open',
    'netlink.family',
    'memory.lock',
    'memory.returnFreeMemory',
    'process.ioFlusher',
    'files.stuckJobs',
    'files.deadline',
    'poll.skipSpin',
    'poll.spinCounts',
  ];
  const names = [...functions.keys()].filter((name) => !without.includes(name));
  test.same(names.toSorted(), Object.keys(calls).toSorted());
});

for (const [name, { args, kinds }] of Object.entries(calls)) {
  const skip = name === 'codecs.decodeBlocks' && noLz4;
  await t.test(name, { skip }, async (test) => {
    const call = functions.get(name) as Loose;
    test.doesNotThrow(() => call(...args));
    for (const [i, kind] of kinds.split(' ').entries()) {
      const { types, ranges } = wrongOnes(kind);
      for (const wrong of types) test.throws(() => call(...args.with(i, wrong)), TypeError);
      for (const wrong of ranges) test.throws(() => call(...args.with(i, wrong)), RangeError);
    }
    if (name !== 'sockets.shutdown' && !kinds.includes('o'))
      test.throws(() => call(...args.slice(0, -1)), TypeError, 'one missing');
    test.throws(() => call(), TypeError, 'all missing');
  });
}

await t.test('ranges outside the buffer are refused', async (test) => {
  const ranges = [
    [0, 17],
    [16, 1],
    [17, 0],
    [1, 16],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  ] as const;
  for (const [offset, length] of ranges) {
    test.throws(() => sockets.recv(NO_SUCH_FD, buffer, offset, length), RangeError);
    test.throws(() => sockets.send(NO_SUCH_FD, buffer, offset, length), RangeError);
    test.throws(() => files.readAtHand(NO_SUCH_FD, buffer, offset, length, 0), RangeError);
    test.throws(() => crc32c(buffer, offset, length, 0), RangeError);
  }
  test.throws(() => sockets.accept(2 ** 31), RangeError);
  test.throws(() => sockets.listenTcp('127.0.0.1', 65_536, 1), RangeError);
  test.throws(() => crc32c(buffer, 0, 1, 2 ** 32), RangeError);
  test.throws(() => sockets.recv(NO_SUCH_FD, buffer, 0, 0.5), {
    name: 'RangeError',
    message: 'length: 0.5 is not an integer from 1 to 9007199254740991',
  });
});

await t.test('values are not coerced, so no buffer can be detached during a call', async (test) => {
  const bytes = new Uint8Array(1 << 16);
  let ran = false;
  const trap = {
    valueOf() {
      ran = true;
      structuredClone(bytes, { transfer: [bytes.buffer] });
      return 0;
    },
  };
  const position = trap as unknown as number;
  const [a, b] = sockets.pair();
  test.throws(() => files.readAtHand(NO_SUCH_FD, bytes, 0, bytes.length, position), TypeError);
  test.throws(() => sockets.recv(a, bytes, position, 10), TypeError);
  test.throws(() => sockets.send(a, bytes, 0, position), TypeError);
  test.throws(() => crc32c(bytes, 0, bytes.length, position), TypeError);
  test.equal(ran, false);
  test.equal(bytes.length, 1 << 16);

  structuredClone(bytes, { transfer: [bytes.buffer] });
  test.throws(() => sockets.recv(a, bytes, 0, 10), RangeError, 'a detached buffer has no bytes');
  test.throws(() => crc32c(bytes, 0, 1, 9), RangeError);
  test.equal(crc32c(bytes, 0, 0, 9), 9);
  descriptors.close(a);
  descriptors.close(b);
});

await t.test('the error for a missing addon tells what to do', async (test) => {
  const loader = fileURLToPath(new URL('../../../daemon/native/addon.js', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [loader], {
    env: { ...process.env, OVERLAYBD_NBD_ADDON: '/proc/nonexistent/addon.node' },
    encoding: 'utf8',
  });
  test.equal(status, 1);
  test.match(stderr, 'native addon /proc/nonexistent/addon.node: not loaded: ');
});

await t.test('the error for an addon of another version tells what to do', async (test) => {
  const loader = fileURLToPath(new URL('../../../daemon/native/addon.js', import.meta.url));
  const other = fileURLToPath(import.meta.resolve('zstd-napi/package.json'));
  const path = join(dirname(other), 'build/Release/binding.node');
  const { status, stderr } = spawnSync(process.execPath, [loader], {
    env: { ...process.env, OVERLAYBD_NBD_ADDON: path },
    encoding: 'utf8',
  });
  test.equal(status, 1);
  test.match(stderr, `native addon ${path}: of another version than this program: expected`);
  test.match(stderr, 'got none. To build it: npm rebuild -g overlaybd-nbd');
});

await t.test(
  'a change of the functions of the addon changes the number of its interface',
  async (test) => {
    const names = [...functions.keys()].map((name) => `${name} ${calls[name]?.kinds ?? ''}`);
    const digest = createHash('sha256').update(names.toSorted().join(' ')).digest('hex');
    // If this fails: raise the number in daemon/native/addon.ts and native/src/addon.cc, then set both here.
    test.same([addon['interface'], digest.slice(0, 16)], [1, '052727c6ca7504fb']);
  },
);
