// Jobs that warm images: their states, what a client sees of them, and their limits. With a real fetcher:
// test/e2e/registry-control.test.ts.
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { FetchClient } from '../../../daemon/fetch/client.js';
import type { WarmProgress } from '../../../daemon/fetch/messages.js';
import { WarmJobs } from '../../../daemon/server/warm-jobs.js';

interface Warming {
  readonly tell: (progress: WarmProgress) => void;
  readonly done: (progress: WarmProgress) => void;
  readonly fail: (error: Error) => void;
  isShut: boolean;
}

const BLOB = { kind: 'registry', digest: 'sha256:a', size: 10 };

const settings = () => ({ platform: 'linux/arm64', pull: 'newer' }) as const;

function start() {
  const log: string[] = [];
  const warming: Warming[] = [];
  const asked: unknown[] = [];
  const opened: string[] = [];
  const connect = () => {
    let end = { done: nothing, fail: nothing } as Pick<Warming, 'done' | 'fail'>;
    const client = {
      resolve: async (...question: unknown[]) => {
        asked.push(question);
        const isOfFiles = (question[0] as string).startsWith('docker://files');
        return { lowers: [{ kind: 'file' }, BLOB], ...(isOfFiles && { digests: new Map() }) };
      },
      warm: (blobs: unknown, tell: Warming['tell']) => {
        asked.push(blobs);
        return new Promise((done, fail) => {
          end = { done, fail };
          warming.push({ ...end, tell, isShut: false });
        });
      },
      shut: () => {
        for (const each of warming) if (each.done === end.done) each.isShut = true;
        end.fail(new OverlaybdError('BUSY', 'the daemon is stopping'));
      },
    };
    return client as unknown as FetchClient;
  };
  const logger = { log: (level: string, text: string) => void log.push(`${level}: ${text}`) };
  const openings: AbortSignal[] = [];
  const open = async (image: string, cancelled: AbortSignal): Promise<void> => {
    opened.push(image);
    openings.push(cancelled);
    if (image.endsWith('slow')) await once(cancelled, 'abort');
  };
  const jobs = new WarmJobs(connect, settings, open, logger);
  return { jobs, warming, asked, opened, openings, log };
}

function nothing(): void {
  // A promise that is made later.
}

await test('a job runs, tells its progress, and is done', async (t) => {
  const { jobs, warming, asked, log } = start();
  t.match(jobs.start('docker://a'), { id: '1', image: 'docker://a', state: 'running', total: 0 });
  t.match(jobs.start('docker://a'), { id: '1' }, 'the same image is not fetched twice at a time');
  await turn();
  t.same(asked, [['docker://a', { platform: 'linux/arm64', pull: 'newer' }], [BLOB]]);
  warming[0]?.tell({ bytes: 3, total: 10, cached: 1 });
  t.match(jobs.status('1'), { state: 'running', bytes: 3, total: 10, cached: 1, problem: null });
  warming[0]?.done({ bytes: 10, total: 10, cached: 1 });
  await turn();
  t.match(jobs.list(), { jobs: [{ state: 'done', bytes: 10, total: 10, cached: 1 }] });
  t.ok(warming[0]?.isShut);
  t.same(log, ['info: warm: docker://a: is in the cache, 9 bytes were fetched']);
  t.match(jobs.start('docker://a'), { id: '2' }, 'once more');
});

await test('an image of layers of files is opened, for what an opening keeps', async (t) => {
  const { jobs, warming, opened } = start();
  for (const [i, image] of ['docker://disk', 'docker://files'].entries()) {
    jobs.start(image);
    while (!warming[i]) await turn();
    warming[i]?.done({ bytes: 10, total: 10, cached: 1 });
    while (jobs.status(`${i + 1}`).state === 'running') await turn();
  }
  t.same(opened, ['docker://files']);
});

await test('a job that is cancelled ends the opening that it has begun', async (t) => {
  const { jobs, warming, openings, log } = start();
  jobs.start('docker://files/slow');
  while (!warming[0]) await turn();
  warming[0].done({ bytes: 10, total: 10, cached: 1 });
  while (!openings[0]) await turn();
  t.notOk(openings[0].aborted);
  jobs.cancel('1');
  t.ok(openings[0].aborted);
  await turn();
  t.match(jobs.status('1'), { state: 'cancelled', problem: null });
  t.same(log, []);
});

await test('a job that fails says why', async (t) => {
  const { jobs, warming, log } = start();
  jobs.start('docker://a');
  await turn();
  warming[0]?.fail(new OverlaybdError('REMOTE', 'a: 503'));
  await turn();
  const problem = { code: 'REMOTE', message: 'a: 503' };
  t.match(jobs.status('1'), { state: 'failed', problem });
  t.same(log, ['error: warm: docker://a: a: 503']);
});

await test('a job is cancelled, then forgotten', async (t) => {
  const { jobs, warming, log } = start();
  jobs.start('docker://a');
  await turn();
  jobs.cancel('1');
  warming[0]?.tell({ bytes: 3, total: 10, cached: 1 });
  await turn();
  t.match(jobs.status('1'), { state: 'cancelled', bytes: 0, problem: null });
  t.ok(warming[0]?.isShut);
  t.same(log, [], 'that is no failure');
  jobs.cancel('1');
  t.throws(() => jobs.status('1'), { code: 'NOT_FOUND' });
  t.throws(() => jobs.cancel('\u001b'), { code: 'NOT_FOUND', message: /"\\u001b"/ });
});

await test('both the running and the ended ones are bounded', async (t) => {
  const { jobs, warming } = start();
  for (let i = 0; i < 8; i++) jobs.start(`docker://${i}`);
  t.throws(() => jobs.start('docker://9'), { code: 'BUSY', message: /8 images/ });
  await turn();
  for (const each of warming) each.done({ bytes: 1, total: 1, cached: 0 });
  await turn();
  for (let i = 0; i < 70; i++) jobs.cancel(jobs.start(`docker://${i}`).id);
  t.equal(jobs.list().jobs.length, 64);
  t.equal(jobs.list().jobs.at(-1)?.id, '78', 'the oldest are forgotten');
});
