// `--wait`: which errors lead to another try, for how long, and the messages meanwhile; with a clock of its own.
import { test } from 'tap';
import { MAX_WAIT_SECONDS, patiently, waitSeconds } from '../../../daemon/cli/patience.js';
import { OverlaybdError } from '../../../daemon/errors.js';

/** @param errors thrown one after the other before the work succeeds */
function clock(...errors: readonly Error[]) {
  let time = 0;
  let tries = 0;
  const said: string[] = [];
  return {
    said,
    tries: () => tries,
    time: () => time,
    work: async () => {
      const error = errors[Math.min(tries++, errors.length - 1)];
      if (error && (tries <= errors.length || errors.length === 1)) throw error;
      return 'done';
    },
    patience: (seconds: number) => ({
      seconds,
      tell: (message: string) => void said.push(message),
      now: () => time,
      pause: async (ms: number) => void (time += ms),
    }),
  };
}

const absent = new OverlaybdError('NO_DAEMON', 'no daemon is running there');
const missing = new OverlaybdError('NOT_FOUND', 'there is no export named "web"');

await test('work is tried until it succeeds, and each reason is reported once', async (t) => {
  const { work, patience, said } = clock(absent, absent, absent, missing, missing);
  t.equal(await patiently(work, patience(600)), 'done');
  t.same(
    said,
    [`waiting: ${absent.message}`, `waiting: ${missing.message}`],
    'each reason is reported once',
  );
});

await test('work is tried until the time is up', async (t) => {
  const { work, patience, tries, time, said } = clock(absent);
  await t.rejects(patiently(work, patience(3600)), { code: 'NO_DAEMON' });
  t.equal(time(), 3_600_000);
  t.ok(tries() > 700, 'one try every 5 s');
  t.ok(said.length > 1 && said.length < 10, 'the reason is repeated, but rarely');
});

await test('without --wait there is one try', async (t) => {
  const { work, patience, tries, said } = clock(absent);
  await t.rejects(patiently(work, patience(0)), { code: 'NO_DAEMON' });
  t.equal(tries(), 1);
  t.same(said, []);
});

await test('errors that waiting cannot mend end it at once', async (t) => {
  for (const error of [new OverlaybdError('BAD_ARGUMENT', 'no'), new TypeError('a bug')]) {
    const { work, patience, tries } = clock(error);
    await t.rejects(patiently(work, patience(60)), error);
    t.equal(tries(), 1);
  }
});

await test('--wait accepts seconds or no value', async (t) => {
  t.equal(waitSeconds(undefined), 0);
  t.equal(waitSeconds(0.5), 0.5);
  t.equal(waitSeconds(MAX_WAIT_SECONDS), MAX_WAIT_SECONDS);
  for (const value of [-1, NaN, Infinity, MAX_WAIT_SECONDS + 1]) {
    t.throws(() => waitSeconds(value), { code: 'BAD_ARGUMENT', message: /--wait/ });
  }
});
