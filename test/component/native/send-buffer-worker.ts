// A process of send-buffer.test.ts. Usage: node send-buffer-worker.js FD BYTES
import { sockets } from '../../../daemon/native/socket.js';

const [fd, bytes] = process.argv.slice(2).map(Number) as [number, number];
process.exitCode = sockets.raiseSendBuffer(fd, bytes) === 0 ? 0 : 1;
