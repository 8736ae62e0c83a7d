// The send buffer of a socket on a machine whose limit (net.core.wmem_max) is below what the socket has already.
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { requireTool, runTool } from '../../support/tools.js';

/**
 * Makes a socket with a larger buffer than the limit allows, and has a process raise it above that. Prints the size before and
 * after, or nothing without the privilege.
 */
const PROGRAM = `
import socket, subprocess, sys
SO_SNDBUFFORCE = 32
limit = int(open('/proc/sys/net/core/wmem_max').read())
ours, other = socket.socketpair()
size = lambda: ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
try:
    ours.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, limit + 100000)
except PermissionError:
    sys.exit()
before = size()
fd = ours.fileno()
subprocess.run([*sys.argv[1:], str(fd), str(limit + 200000)], pass_fds=[fd], check=True)
print(before, size())
`;

await t.test('a buffer above the limit is not made smaller', async (test) => {
  if (!requireTool(test, 'python3')) return;
  const worker = fileURLToPath(new URL('send-buffer-worker.js', import.meta.url));
  const args = ['-c', PROGRAM, process.execPath, worker];
  const { code, stdout, stderr } = await runTool('python3', args);
  test.equal(code, 0, stderr);
  if (stdout === '') {
    test.pass('SO_SNDBUFFORCE', { skip: 'NOT TESTED, it needs CAP_NET_ADMIN' });
    return;
  }
  const [before, after] = stdout.trim().split(' ').map(Number);
  test.equal(after, before);
});
