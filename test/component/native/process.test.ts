// File locks, service notification, capabilities and locked program code, from JavaScript.
import { spawnSync, spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import {
  EBADF,
  ECONNREFUSED,
  EINVAL,
  EMSGSIZE,
  ENAMETOOLONG,
  ENOENT,
  ENOMEM,
  EPERM,
  EWOULDBLOCK,
} from '../../../daemon/lib/errno.js';
import { descriptors } from '../../../daemon/native/descriptors.js';
import { memory } from '../../../daemon/native/memory.js';
import { CAP_SYS_RESOURCE, thisProcess } from '../../../daemon/native/process.js';

const NO_SUCH_FD = 1_000_000;

/** Receives one datagram at a path and prints it. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace('@', chr(0), 1) if sys.argv[1][0] == '@' else sys.argv[1])
print('bound', flush=True)
print(repr(s.recv(65536)))
`;

function statusOf(name: string): string {
  return new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(
    readFileSync('/proc/self/status', 'utf8'),
  )![1]!;
}

await t.test('lockFile locks a file once', async (test) => {
  const path = join(test.testdir(), 'lock');
  const first = openSync(path, 'w');
  const second = openSync(path, 'r');
  test.equal(descriptors.lockFile(first), 0);
  test.equal(descriptors.lockFile(first), 0, 'the same descriptor again');
  test.equal(descriptors.lockFile(second), -EWOULDBLOCK);
  closeSync(first);
  test.equal(descriptors.lockFile(second), 0);
  closeSync(second);
  test.equal(descriptors.lockFile(NO_SUCH_FD), -EBADF);
});

await t.test('cloexec sets and clears the flag', async (test) => {
  const fd = openSync(join(test.testdir(), 'file'), 'w');
  const isSet = (): boolean => {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '', 8) & 0o2000000) !== 0;
  };
  test.equal(isSet(), true);
  test.equal(descriptors.cloexec(fd, 0), 0);
  test.equal(isSet(), false);
  test.equal(descriptors.cloexec(fd, 1), 0);
  test.equal(isSet(), true);
  closeSync(fd);
  test.equal(descriptors.cloexec(NO_SUCH_FD, 1), -EBADF);
});

for (const kind of ['path', 'abstract'] as const) {
  await t.test(`notify: ${kind}`, async (test) => {
    if (spawnSync('python3', ['-c', '']).status !== 0) {
      test.comment('SKIPPED: no python3');
      return;
    }
    const folder = mkdtempSync(join(tmpdir(), 'obd-'));
    test.teardown(() => rmSync(folder, { recursive: true }));
    const path = kind === 'path' ? join(folder, 'notify') : `@overlaybd-nbd-notify-${process.pid}`;
    test.equal(thisProcess.notify(path, 'READY=1'), kind === 'path' ? -ENOENT : -ECONNREFUSED);
    const receiver = spawn('python3', ['-c', RECEIVER, path]);
    let output = '';
    receiver.stdout.on('data', (data: Buffer) => {
      output += data.toString();
    });
    await once(receiver.stdout, 'data');
    test.equal(thisProcess.notify(path, 'READY=1\nSTATUS=2 devices'), 0);
    await once(receiver, 'close');
    test.equal(output, "bound\nb'READY=1\\nSTATUS=2 devices'\n");
  });
}

await t.test('notify: addresses that are refused', async (test) => {
  test.equal(thisProcess.notify('', 'x'), -EINVAL);
  test.equal(thisProcess.notify('@', 'x'), -EINVAL);
  test.equal(thisProcess.notify('/'.repeat(108), 'x'), -ENAMETOOLONG);
  test.equal(thisProcess.notify('/proc/nonexistent', 'x'.repeat(4096)), -EMSGSIZE);
  test.equal(thisProcess.notify('/proc/nonexistent', 'x'.repeat(4095)), -ENOENT);
});

await t.test('capabilities of this process', async (test) => {
  const effective = BigInt(`0x${statusOf('CapEff')}`);
  for (let number = 0; number < 64; number++) {
    test.equal(thisProcess.hasCapability(number), Number((effective >> BigInt(number)) & 1n));
  }
  test.throws(() => thisProcess.hasCapability(64), RangeError);
});

await t.test('releasePages: whole pages become zeros, their neighbours stay', async (test) => {
  const page = 4096;
  const bytes = new Uint8Array(new SharedArrayBuffer(1 << 24)).fill(7);
  const before = process.memoryUsage.rss();
  const released = memory.releasePages(bytes.subarray(100, bytes.length - 100));
  test.ok(released > bytes.length - 3 * 65_536 && released < bytes.length, `${released} bytes`);
  test.ok(bytes.subarray(0, 100).every((byte) => byte === 7));
  test.ok(bytes.subarray(-100).every((byte) => byte === 7));
  test.equal(bytes[bytes.length >>> 1], 0);
  test.ok(before - process.memoryUsage.rss() > released / 2, 'the pages are back with the system');
  test.equal(memory.releasePages(bytes.subarray(0, page - 1)), 0, 'less than one whole page');
  test.equal(memory.releasePages(new Uint8Array(0)), 0);
  test.throws(() => memory.releasePages(5 as never), TypeError);
});

await t.test('ioFlusher succeeds, or fails with an expected errno', async (test) => {
  const result = thisProcess.ioFlusher();
  if (thisProcess.hasCapability(CAP_SYS_RESOURCE) === 0) test.equal(result, -EPERM);
  else test.ok([0, -EINVAL, -EPERM].includes(result), `${result}`);
});

await t.test('lockMemory: program code stays in memory, heaps can shrink', async (test) => {
  const result = memory.lock();
  if (result < 0) {
    test.ok([-ENOMEM, -EPERM].includes(result), `${result}`);
    test.comment('SKIPPED: RLIMIT_MEMLOCK is too low here');
    return;
  }
  test.ok(result > 10e6, `${result} bytes`);
  // AddressSanitizer disables mlock.
  const sanitized = process.env['OVERLAYBD_NBD_ADDON'] !== undefined;
  test.equal(Number(statusOf('VmLck')) * 1024, sanitized ? 0 : result);
  // With mlockall this would fail: V8 returns the heap of a worker.
  const worker = new Worker('Array.from({ length: 1e5 }, (_, i) => ({ i }))', { eval: true });
  const [code] = (await once(worker, 'exit')) as [number];
  test.equal(code, 0);
});
