// A thread that opens a file twice, as its own and as one that stays, and locks the first. Posts both.
import { parentPort, workerData } from 'node:worker_threads';
import { cacheFiles, LOCK_EXCLUSIVE } from '../../../daemon/native/cache-file.js';
import { files } from '../../../daemon/native/file.js';

const opened: number[] = [];
files.onJobEnd((_job, fd) => {
  opened.push(fd);
  if (opened.length === 1) {
    cacheFiles.lock(fd, 0, 1, LOCK_EXCLUSIVE);
    cacheFiles.startOpen(2, workerData as string, 0, 0, 0);
  } else {
    // The file is dropped if the thread ends before this callback returns.
    setImmediate(() => parentPort?.postMessage(opened));
    setInterval(() => {}, 1000);
  }
});
cacheFiles.startOpen(1, workerData as string, 4096, 1, 1);
