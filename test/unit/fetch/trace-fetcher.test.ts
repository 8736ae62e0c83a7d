// Chunks that are fetched in the class of traces, until the image is closed.
import t from 'tap';
import type { CachedSpec } from '../../../daemon/blob/cached-source.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { FetchClient } from '../../../daemon/fetch/client.js';
import { TraceFetcher } from '../../../daemon/fetch/trace-fetcher.js';

const SPEC = { blob: 7, digest: 'D', name: 'layer' } as CachedSpec;

function fetcher(answer: Promise<number>, signal = new AbortController().signal) {
  const asked: unknown[] = [];
  const trace = (command: unknown): Promise<number> => {
    asked.push(command);
    return answer;
  };
  const refetch = (...range: number[]): Promise<void> => {
    asked.push(range);
    return Promise.resolve();
  };
  const client = { trace, refetch } as unknown as FetchClient;
  return { asked, made: new TraceFetcher(client, [SPEC], signal) };
}

await t.test('asks for a replay of the chunks', async (test) => {
  const { asked, made } = fetcher(Promise.resolve(3));
  await made.want(7, 2, 4);
  await made.refetch(7, 5, 5);
  made.hint();
  test.same(asked, [{ do: 'replay', entries: [{ digest: 'D', first: 2, last: 4 }] }, [7, 5, 5]]);
});

await t.test('what does not come is an error', async (test) => {
  const { made } = fetcher(Promise.resolve(2));
  await test.rejects(made.want(7, 2, 4), { code: 'REMOTE', message: /^layer: chunks 2 to 4 / });
  await test.rejects(made.want(8, 2, 4), { code: 'BUG' });
  const dead = new OverlaybdError('BUSY', 'stopping');
  await test.rejects(fetcher(Promise.reject(dead)).made.want(7, 2, 4), dead);
});

await t.test('nothing waits for a closed image', async (test) => {
  const ending = new AbortController();
  const { made } = fetcher(new Promise(() => undefined), ending.signal);
  const waiting = made.want(7, 0, 0);
  ending.abort();
  await test.rejects(waiting, { code: 'BUSY' });
  await test.rejects(made.want(7, 0, 0), { code: 'BUSY' });
});
