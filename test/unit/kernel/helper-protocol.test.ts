// The attach helper accepts exactly the requests of the protocol from a daemon.
import { test } from 'tap';
import { parseHelperRequest } from '../../../daemon/kernel/helper-protocol.js';

const backend = 'overlaybd-nbd:0123456789abcdef';
const request = {
  index: 3,
  size: 1 << 20,
  blockSize: 4096,
  timeoutSeconds: 10,
  deadConnTimeoutSeconds: 90,
  serverFlags: 0x103,
  backend,
};
const owner = { backend };

await test('valid requests are parsed', async (t) => {
  for (const good of [
    { do: 'connect', request },
    { do: 'connect', request: { ...request, index: 0, size: 1, blockSize: 512 } },
    { do: 'connect', request: { ...request, size: Number.MAX_SAFE_INTEGER } },
    { do: 'reconfigure', index: 0, owner },
    { do: 'disconnectOnClose', index: 65535, owner },
    { do: 'release', index: 65535, owner: { backend: `${backend}@994` }, onClose: true },
    { do: 'disconnect', index: 1, owner },
  ]) {
    t.same(parseHelperRequest(good), good);
  }
});

await test('all other messages are refused, with the place of the error', async (t) => {
  const connect = (change: Record<string, unknown>): unknown => ({
    do: 'connect',
    request: { ...request, ...change },
  });
  const cases: [unknown, RegExp][] = [
    [null, /wrong request/],
    ['connect', /wrong request/],
    [[], /wrong request/],
    [{}, /do:/],
    [{ do: 'format', index: 0, owner }, /do:/],
    [{ do: 'connect' }, /: the key "request" is missing$/],
    [{ do: 'connect', request, more: 1 }, /: unknown key "more"; allowed: "/],
    [connect({ more: 1 }), /request: unknown key "more"; allowed: "/],
    [connect({ index: -1 }), /request\.index:/],
    [connect({ index: 65536 }), /request\.index:/],
    [connect({ index: 1.5 }), /request\.index:/],
    [connect({ index: '0' }), /request\.index:/],
    [connect({ size: 0 }), /request\.size:/],
    [connect({ size: 2 ** 53 }), /request\.size:/],
    [connect({ blockSize: 0 }), /request\.blockSize:/],
    [connect({ blockSize: 8192 }), /request\.blockSize:/],
    [connect({ timeoutSeconds: -1 }), /request\.timeoutSeconds:/],
    [connect({ deadConnTimeoutSeconds: 1e9 }), /request\.deadConnTimeoutSeconds:/],
    [connect({ serverFlags: 0x10000 }), /request\.serverFlags:/],
    [connect({ backend: 'qemu' }), /request\.backend:/],
    [connect({ backend: '' }), /request\.backend:/],
    [connect({ backend: ` ${backend}` }), /request\.backend:/],
    [connect({ backend: `${backend}\n` }), /request\.backend:/],
    [connect({ backend: `${backend}\0` }), /request\.backend:/],
    [connect({ backend: `${backend} x` }), /request\.backend:/],
    [connect({ backend: backend + 'x'.repeat(128) }), /request\.backend:/],
    [{ do: 'disconnect', index: 0 }, /: the key "owner" is missing$/],
    [{ do: 'disconnect', index: 0, owner: { backend: 'x' } }, /owner\.backend:/],
    [
      { do: 'disconnect', index: 0, owner: { backend, kernelPid: 1 } },
      /owner: unknown key "kernelPid"; allowed: "backend"/,
    ],
    [{ do: 'disconnect', index: -1, owner }, /index:/],
    [{ do: 'release', index: 0, owner }, /: the key "onClose" is missing$/],
    [{ do: 'release', index: 0, owner, onClose: 1 }, /onClose:/],
    [{ do: 'reconfigure', index: 0, owner, request }, /: unknown key "request"; allowed: "/],
  ];
  for (const [wrong, where] of cases) {
    const what = JSON.stringify(wrong);
    t.throws(() => parseHelperRequest(wrong), { code: 'PROTOCOL', message: where }, what);
  }
});
