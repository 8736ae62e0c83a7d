// Reports of files whose reads do not return: once at the beginning, once at the end, and in the status.
import t from 'tap';
import type { DiskSpec } from '../../../daemon/image/disks/spec.js';
import type { StuckFileJob } from '../../../daemon/native/file.js';
import type { HeldImage } from '../../../daemon/image/open-images.js';
import { StuckFiles } from '../../../daemon/server/stuck-files.js';

function held(...names: string[]): HeldImage {
  const [name = ''] = names;
  const raw: DiskSpec = {
    kind: 'raw',
    source: { kind: 'file', name, fd: 7, base: 0, size: 512 },
  };
  const disk: DiskSpec = { kind: 'partition', disk: raw, offset: 0, size: 512 };
  return { image: { disk } } as unknown as HeldImage;
}

const job = (path: string, seconds: number): StuckFileJob => {
  return { path, seconds, kind: 2, position: 0, length: 512 };
};

await t.test('stuck files are reported with the exports that need them', (test) => {
  const lines: string[] = [];
  let jobs: StuckFileJob[] = [];
  const exports = new Map([
    ['web', held('/a')],
    ['in tar', held('/a (in tar)')],
    ['other', held('/ab')],
  ]);
  const stuck = new StuckFiles(
    { log: (level, message) => void lines.push(`${level}: ${message}`) },
    () => exports,
    () => jobs,
  );
  stuck.look();
  test.same([stuck.status(), lines], [[], []], 'nothing is stuck');
  jobs = [job('/b', 9.2), job('/a', 30.9), job('/a', 10)];
  stuck.look();
  stuck.look();
  test.same(stuck.status(), [
    { file: '/a', threads: 2, seconds: 30, exports: ['web', 'in tar'] },
    { file: '/b', threads: 1, seconds: 9, exports: [] },
  ]);
  test.equal(lines.length, 2, 'reported once');
  test.match(
    lines[0],
    /^error: \/a: 2 threads have waited for it for 30 s.*need it: "web", "in tar"$/,
  );
  test.match(lines[1], /^error: \/b: .*need it: none$/);
  jobs = [job('/b', 12)];
  stuck.look();
  test.same(lines.slice(2), ['info: /a: the threads that waited for it have come back']);
  jobs = [];
  stuck.look();
  test.equal(lines.length, 4);
  test.end();
});
