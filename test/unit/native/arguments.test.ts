// Every argument of every function of the addon, wrong in every way; and the loader's error.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { addon } from '../../../daemon/native/addon.js';
import { CODEC_LZ4, codecs } from '../../../daemon/native/block-decoder.js';
import { crc32c } from '../../../daemon/native/crc32c.js';
import { MAX_DESCRIPTORS, descriptors } from '../../../daemon/native/descriptors.js';
import { files } from '../../../daemon/native/file.js';
import { sockets } from '../../../daemon/native/socket.js';

type Loose = (...args: unknown[]) => unknown;

const functions = addon as Record<string, Loose>;

const NO_SUCH_FD = 1_000_000;
const buffer = Buffer.alloc(16);
const bounds = Uint32Array.of(0, 8, 16);
const noSuch = Int32Array.of(NO_SUCH_FD);
const ended = (): void => {};

/** A call of each function that would go through, with what kind each argument is. */
const calls: Record<string, { args: unknown[]; kinds: string }> = {
  listenTcp: { args: ['name', 0, 1], kinds: 's n n' },
  listenUnix: { args: ['', 1, 0o600, 0, 0], kinds: 's n o o o' },
  // The hypervisor's own address, which is never ours.
  listenVsock: { args: [0, 1, 1], kinds: 'n n n' },
  adoptListener: { args: [NO_SUCH_FD], kinds: 'n' },
  probeUnix: { args: [''], kinds: 's' },
  accept: { args: [NO_SUCH_FD], kinds: 'n' },
  keepAlive: { args: [NO_SUCH_FD, 60], kinds: 'n n' },
  userTimeout: { args: [NO_SUCH_FD, 1000], kinds: 'n n' },
  localPort: { args: [NO_SUCH_FD], kinds: 'n' },
  localName: { args: [NO_SUCH_FD], kinds: 'n' },
  peerUid: { args: [NO_SUCH_FD], kinds: 'n' },
  untaken: { args: [NO_SUCH_FD], kinds: 'n' },
  releasePages: { args: [buffer], kinds: 'b' },
  peerPid: { args: [NO_SUCH_FD], kinds: 'n' },
  takeStandard: { args: [NO_SUCH_FD], kinds: 'n' },
  userId: { args: [''], kinds: 's' },
  groupId: { args: [''], kinds: 's' },
  peerAddress: { args: [NO_SUCH_FD], kinds: 'n' },
  recv: { args: [NO_SUCH_FD, buffer, 0, 16], kinds: 'n b n n' },
  send: { args: [NO_SUCH_FD, buffer, 0, 16], kinds: 'n b n n' },
  shutdown: { args: [NO_SUCH_FD, 1], kinds: 'n n' },
  close: { args: [NO_SUCH_FD], kinds: 'n' },
  readAtHand: { args: [NO_SUCH_FD, buffer, 0, 16, 0], kinds: 'n b n n n' },
  makePipe: { args: [new Int32Array(2), 4096], kinds: 'i n' },
  fillPipe: { args: [NO_SUCH_FD, 0, NO_SUCH_FD, 16], kinds: 'n n n n' },
  drainPipe: { args: [NO_SUCH_FD, NO_SUCH_FD, 16], kinds: 'n n n' },
  fileJobs: { args: [ended], kinds: 'f' },
  startOpen: { args: [1, ''], kinds: 'n s' },
  startExists: { args: [1, ''], kinds: 'n s' },
  startLoad: { args: [1, NO_SUCH_FD, 0, 16], kinds: 'n n n n' },
  startPrefetch: { args: [1, NO_SUCH_FD, 0, 16], kinds: 'n n n n' },
  startExtents: { args: [1, NO_SUCH_FD, 0, 16, 16], kinds: 'n n n n n' },
  closeFile: { args: [NO_SUCH_FD], kinds: 'n' },
  connectUnix: { args: [''], kinds: 's' },
  peerClosed: { args: [NO_SUCH_FD], kinds: 'n' },
  sendDescriptors: { args: [NO_SUCH_FD, buffer, 0, 16, noSuch], kinds: 'n b n n i' },
  recvDescriptors: { args: [NO_SUCH_FD, buffer, 0, 16, new Int32Array(1)], kinds: 'n b n n i' },
  nbdConnect: {
    // No kernel takes a descriptor that is none.
    args: [-1, 4096, 512, -1, -1, 0, -1, '', noSuch],
    kinds: 'm n n m m n m s i',
  },
  nbdReconfigure: { args: [2 ** 20, -1, -1, -1, '', noSuch], kinds: 'n m m m s i' },
  nbdDisconnect: { args: [2 ** 20], kinds: 'n' },
  nbdConnected: { args: [2 ** 20], kinds: 'n' },
  nbdIoctlConnect: {
    args: ['/dev/null', 4096, 512, -1, 0, noSuch, ended],
    kinds: 's n n m n i f',
  },
  nbdIoctlDisconnect: { args: ['/dev/null'], kinds: 's' },
  lockFile: { args: [NO_SUCH_FD], kinds: 'n' },
  cloexec: { args: [NO_SUCH_FD, 1], kinds: 'n n' },
  notify: { args: ['', ''], kinds: 's s' },
  // Nobody is there any more by then.
  exitWithin: { args: [3_600_000, 0], kinds: 'n n' },
  hasCapability: { args: [0], kinds: 'n' },
  crc32c: { args: [buffer, 0, 16, 0], kinds: 'b n n n' },
  crc32cVerifyBlocks: { args: [buffer, 0, bounds, 1, 0], kinds: 'b n u n n' },
  codecVersion: { args: [CODEC_LZ4], kinds: 'n' },
  decodeBlocks: {
    args: [CODEC_LZ4, buffer, 0, bounds, 0, 1, Buffer.alloc(8), 0, 8, 8, 4, 0],
    kinds: 'n b n u n n b n n n n n',
  },
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
  // It may be left out.
  if (kind === 'o') return { types: notNumbers.slice(1), ranges: notIntegers };
  if (kind === 's') return { types: [undefined, null, 5, {}, buffer], ranges: ['a\0b'] };
  if (kind === 'u') return { types: [...notBuffers, ...otherArrays, buffer], ranges: [] };
  return { types: [...notBuffers, ...otherArrays, bounds], ranges: [] };
}

await t.test('no function of the addon is missing from the list above', async (test) => {
  const without = [
    'Poll',
    'socketpair',
    'nbdFamily',
    'lockMemory',
    'ioFlusher',
    'stuckFileJobs',
    'fileDeadline',
  ];
  const names = Object.keys(functions).filter((name) => !without.includes(name));
  test.same(names.toSorted(), Object.keys(calls).toSorted());
});

for (const [name, { args, kinds }] of Object.entries(calls)) {
  const skip = name === 'decodeBlocks' && noLz4;
  await t.test(name, { skip }, async (test) => {
    const call = functions[name] as Loose;
    test.doesNotThrow(() => call(...args));
    for (const [i, kind] of kinds.split(' ').entries()) {
      const { types, ranges } = wrongOnes(kind);
      for (const wrong of types) test.throws(() => call(...args.with(i, wrong)), TypeError);
      for (const wrong of ranges) test.throws(() => call(...args.with(i, wrong)), RangeError);
    }
    if (name !== 'shutdown' && !kinds.includes('o'))
      test.throws(() => call(...args.slice(0, -1)), TypeError, 'one missing');
    test.throws(() => call(), TypeError, 'all missing');
  });
}

await t.test('ranges outside the buffer', async (test) => {
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

await t.test('no coercion, so nothing can detach a buffer during a call', async (test) => {
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

await t.test('a missing addon says what to do', async (test) => {
  const loader = fileURLToPath(new URL('../../../daemon/native/addon.js', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [loader], {
    env: { ...process.env, OVERLAYBD_NBD_ADDON: '/nonexistent/addon.node' },
    encoding: 'utf8',
  });
  test.equal(status, 1);
  test.match(stderr, 'native addon /nonexistent/addon.node: not loaded, run npm run build:native');
});
