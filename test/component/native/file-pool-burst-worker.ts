// A program for file-pool.test.ts: starts to open all the files that its arguments name, many times each, in one
// turn of the loop. Prints how many threads the pool has after that.
import { readFileSync, readdirSync } from 'node:fs';
import { files } from '../../../daemon/native/file.js';

const TIMES = 40;
const paths = process.argv.slice(2);
let left = TIMES * paths.length;

files.onJobEnd(() => {
  if (--left > 0) return;
  const names = readdirSync('/proc/self/task').map((id) => nameOf(id));
  console.log(names.filter((name) => name === 'file').length);
  process.exit();
});
for (let id = 1; id <= left; id++) {
  files.startOpen(id, paths[id % paths.length] as string);
}

/** A thread may end at any moment. */
function nameOf(id: string): string {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}
