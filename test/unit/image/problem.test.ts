// When an image that failed to open is tried again, and what is remembered of the failure.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import {
  FIRST_RETRY_MS,
  LAST_RETRY_MS,
  problemOf,
  retryDelayMs,
  type ImageProblem,
} from '../../../daemon/image/problem.js';

await test('each try waits twice as long as the one before, up to a limit', (t) => {
  let problem: ImageProblem | null = null;
  const delays: number[] = [];
  for (let i = 0; i < 10; i++) {
    problem = problemOf(new OverlaybdError('NOT_FOUND', 'gone'), problem);
    delays.push(retryDelayMs(problem));
  }
  t.same(
    delays,
    [1, 2, 4, 8, 16, 32, 60, 60, 60, 60].map((seconds) => seconds * 1000),
  );
  t.equal(delays[0], FIRST_RETRY_MS);
  t.equal(retryDelayMs({ ...(problem as ImageProblem), tries: 1e9 }), LAST_RETRY_MS);
  t.end();
});

await test('the time of the first failure is kept, and the latest reason', (t) => {
  const first = { ...problemOf(new OverlaybdError('IO', 'a'), null), since: 'then' };
  const second = problemOf(new OverlaybdError('BAD_FORMAT', 'b'), first);
  t.same(second, { code: 'BAD_FORMAT', message: 'b', facts: {}, since: 'then', tries: 2 });
  const facts = { blob: '/l', section: 'header' };
  t.match(problemOf(new OverlaybdError('IO', 'c', { facts }), null), { facts });
  t.match(problemOf(new Error('oops'), null), { code: 'BUG', message: /^BUG: Error: oops/ });
  t.end();
});
