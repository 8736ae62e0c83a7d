// The messages to a service manager. Over a real socket: test/e2e/systemd-units.
import { setTimeout as pause } from 'node:timers/promises';
import { test } from 'tap';
import { SdNotify } from '../../../daemon/server/sd-notify.js';
import { until } from '../../support/until.js';

const PID = 4711;
const SOCKET = '/run/systemd/notify';

function manager(env: NodeJS.ProcessEnv, result = 1) {
  const sent: string[] = [];
  const notify = SdNotify.fromEnvironment(env, PID, (path, text) => {
    sent.push(`${path} ${text}`);
    return result;
  });
  return { notify, sent };
}

await test('each state has its message for systemd', (t) => {
  const { notify, sent } = manager({ NOTIFY_SOCKET: SOCKET });
  t.ok(notify.active);
  t.ok(notify.ready('3 exports'));
  t.ok(notify.status('a device is waiting'));
  t.ok(notify.reloading());
  t.ok(notify.mainPid(77));
  t.ok(notify.extendTimeout(2_000_000, 'opening\nweb'));
  t.ok(notify.stopping());
  t.ok(notify.stopping('answering what has been asked'));
  const reloading = sent.splice(2, 1)[0] ?? '';
  t.same(sent, [
    `${SOCKET} READY=1\nSTATUS=3 exports`,
    `${SOCKET} STATUS=a device is waiting`,
    `${SOCKET} MAINPID=77`,
    `${SOCKET} EXTEND_TIMEOUT_USEC=2000000\nSTATUS=opening\\nweb`,
    `${SOCKET} STOPPING=1`,
    `${SOCKET} STOPPING=1\nSTATUS=answering what has been asked`,
  ]);
  const usec = /^\S+ RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(reloading)?.[1];
  const age = Number(process.hrtime.bigint() / 1000n) - Number(usec);
  t.ok(age >= 0 && age < 60_000_000, `${age} us ago`);
  t.end();
});

await test('an abstract socket gets messages', (t) => {
  const { notify, sent } = manager({ NOTIFY_SOCKET: '@/org/x' });
  notify.mainPid(1);
  t.same(sent, ['@/org/x MAINPID=1']);
  t.end();
});

await test('a status is one line with a maximum length', (t) => {
  const { notify, sent } = manager({ NOTIFY_SOCKET: SOCKET });
  notify.status('web\nMAINPID=1\r\u2028x\u0000');
  notify.ready('a\nb');
  t.same(sent.splice(0), [
    `${SOCKET} STATUS=web\\nMAINPID=1\\u{d}\\u{2028}x\\u{0}`,
    `${SOCKET} READY=1\nSTATUS=a\\nb`,
  ]);
  notify.status('\u20ac'.repeat(5000));
  notify.status(`x${'\u{1f600}'.repeat(5000)}`);
  for (const each of sent) {
    const text = each.slice(SOCKET.length + 1);
    t.ok(Buffer.byteLength(text) < 4096);
    t.equal(Buffer.from(text).toString(), text, 'no character is cut in half');
  }
  t.end();
});

await test('without a service manager nothing is sent', (t) => {
  const cases = [{}, { NOTIFY_SOCKET: '' }, { NOTIFY_SOCKET: 'vsock:2:1' }, { NOTIFY_SOCKET: '/' }];
  for (const env of cases) {
    const { notify, sent } = manager({ ...env, WATCHDOG_USEC: '1000' });
    t.notOk(notify.active);
    t.ok(notify.ready('x') && notify.stopping() && notify.mainPid(1) && notify.reloading());
    notify.startWatchdog();
    t.same(notify.environment(), {});
    t.same(sent, []);
  }
  t.end();
});

await test('messages that cannot be delivered are ignored', (t) => {
  const { notify, sent } = manager({ NOTIFY_SOCKET: SOCKET }, -111);
  t.notOk(notify.ready('x'));
  t.equal(sent.length, 1);
  t.end();
});

await test('the variables are removed, and passed to a successor', (t) => {
  const watched = { NOTIFY_SOCKET: SOCKET, WATCHDOG_USEC: '30000000', WATCHDOG_PID: `${PID}` };
  const env: NodeJS.ProcessEnv = { ...watched, PATH: '/bin' };
  const { notify } = manager(env);
  t.same(env, { PATH: '/bin' });
  const passed = { NOTIFY_SOCKET: SOCKET, WATCHDOG_USEC: '30000000' };
  t.same(notify.environment(), passed);
  t.same(manager({ ...passed }).notify.environment(), passed, 'passed to its successor');
  t.same(manager({ NOTIFY_SOCKET: SOCKET }).notify.environment(), { NOTIFY_SOCKET: SOCKET });
  t.end();
});

await test('watchdog: pings at once and after each half interval, while alive', async (t) => {
  const { notify, sent } = manager({ NOTIFY_SOCKET: SOCKET, WATCHDOG_USEC: '20000' });
  let alive = true;
  let asked = 0;
  notify.startWatchdog(() => {
    asked++;
    return alive;
  });
  t.same(sent, [`${SOCKET} WATCHDOG=1`]);
  await until(() => sent.length >= 3);
  alive = false;
  const count = sent.length;
  const before = asked;
  await until(() => asked >= before + 3);
  t.equal(sent.length, count, 'no ping while it is not alive');
  alive = true;
  await until(() => sent.length > count);
  notify.close();
  const last = sent.length;
  await pause(50);
  t.equal(sent.length, last, 'no ping after close');
});

await test('watchdog: the ping interval is half of WATCHDOG_USEC', (t) => {
  const { notify } = manager({ NOTIFY_SOCKET: SOCKET, WATCHDOG_USEC: '30000000' });
  const intervals = captureIntervals(() => {
    notify.startWatchdog();
    notify.startWatchdog();
  });
  notify.close();
  t.same(intervals, [15_000, 15_000]);
  const { notify: slow } = manager({ NOTIFY_SOCKET: SOCKET, WATCHDOG_USEC: `${2 ** 52}` });
  t.same(
    captureIntervals(() => slow.startWatchdog()),
    [2 ** 31 - 1],
  );
  slow.close();
  t.end();
});

await test('watchdog: no variable, another process, or an invalid value', (t) => {
  const cases: NodeJS.ProcessEnv[] = [
    {},
    { WATCHDOG_USEC: '2000', WATCHDOG_PID: '1' },
    { WATCHDOG_USEC: '0' },
    { WATCHDOG_USEC: '-5' },
    { WATCHDOG_USEC: 'soon' },
    { WATCHDOG_USEC: '99999999999999999999' },
  ];
  for (const each of cases) {
    const { notify, sent } = manager({ NOTIFY_SOCKET: SOCKET, ...each });
    notify.startWatchdog();
    t.same(sent, [], JSON.stringify(each));
    t.same(notify.environment(), { NOTIFY_SOCKET: SOCKET });
  }
  t.end();
});

/** The milliseconds of the intervals that are set during the call. */
function captureIntervals(action: () => void): number[] {
  const given: number[] = [];
  const original = globalThis.setInterval;
  globalThis.setInterval = ((callback: () => void, ms: number) => {
    given.push(ms);
    return original(callback, ms);
  }) as typeof setInterval;
  try {
    action();
  } finally {
    globalThis.setInterval = original;
  }
  return given;
}
