// A device whose image cannot be opened: logged once for each reason, and tried again until it is served or detached.
import { setImmediate as tick } from 'node:timers/promises';
import { test, type Test } from 'tap';
import { retryDevice, type LostDevice } from '../../../daemon/devices/lost-device.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { problemOf } from '../../../daemon/image/problem.js';
import { RECORD } from '../../support/device-record.js';

const WHERE = '/dev/nbd3 (overlaybd-nbd:0123456789abcdef@0)';

const GONE = new OverlaybdError('NOT_FOUND', 'its image cannot be opened: web.json: no such file', {
  cause: new OverlaybdError('NOT_FOUND', 'web.json: no such file', { facts: { blob: 'web.json' } }),
});

/** Its timers do not keep a process alive, so the test does. */
function world(t: Test): Pick<LostDevice, 'log'> & { lines: string[]; fields: object[] } {
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(alive));
  const lines: string[] = [];
  const fields: object[] = [];
  const log: LostDevice['log'] = {
    log(level, message, facts) {
      lines.push(`${level}: ${message}`);
      fields.push(facts ?? {});
    },
  };
  return { lines, fields, log };
}

await test('a lost device is served when its image can be opened', async (t) => {
  const { lines, fields, log } = world(t);
  await new Promise<void>((served) => {
    retryDevice(
      { record: RECORD, log, isLost: () => true, recover: async () => null, served },
      GONE,
    );
  });
  t.same(lines.slice(0, 1), [
    `error: ${WHERE}: not served: its image cannot be opened: web.json: no such file; tried again in 1 s`,
  ]);
  t.same(
    fields[0],
    { device: '/dev/nbd3', code: 'NOT_FOUND', blob: 'web.json', tries: 1 },
    'also what only the cause knows',
  );
});

await test('the same reason is logged at level debug', (t) => {
  const { lines, log } = world(t);
  const gone = new OverlaybdError('NOT_FOUND', 'gone');
  const broken = new OverlaybdError('BAD_FORMAT', 'broken');
  const before = problemOf(gone, null);
  const device = {
    record: RECORD,
    log,
    recover: async () => null,
    served: () => undefined,
  };
  retryDevice({ ...device, isLost: () => false }, gone, before);
  retryDevice({ ...device, isLost: () => false }, broken, before);
  t.same(lines, [
    `debug: ${WHERE}: not served: gone; tried again in 2 s`,
    `error: ${WHERE}: not served: broken; tried again in 2 s`,
  ]);
  t.end();
});

await test('the tries end when the device is detached', async (t) => {
  const { lines, log } = world(t);
  const tries: string[] = [];
  const recover = async (): Promise<null> => (tries.push('opened'), null);
  const served = (): void => void tries.push('served');
  await new Promise<void>((asked) => {
    const isLost = (): boolean => {
      asked();
      return false;
    };
    retryDevice({ record: RECORD, log, isLost, recover, served }, GONE);
  });
  await tick();
  t.same(tries, [], 'it is not opened again');
  t.equal(lines.length, 1);
});
