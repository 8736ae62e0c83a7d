// The settings of `serve`: the command line before the configuration, defaults, and refused combinations.
import { writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import {
  servedBy,
  serveSettings,
  type DaemonArguments,
} from '../../../../daemon/cli/options/daemon.js';

const state = '/run/x';
const image = ['x'];

await test('settings without options are the defaults', async (t) => {
  const { canReload, log, options } = await serveSettings({ image, state }, []);
  t.match(options, {
    stdio: false,
    readDeadlineSeconds: 8,
    lockMemory: false,
    state: { folder: state, isRequired: true },
    devices: { maxDevices: 256, onDemand: false },
    daemon: {
      strict: false,
      threads: availableParallelism(),
      spinMicroseconds: 50,
      tls: null,
    },
  });
  t.same(log, { level: 'info', format: 'pretty' });
  t.equal(canReload, false);
  t.equal((await serveSettings({ image, state, stdio: true }, [])).log.level, 'warn');
});

await test('the command line takes precedence over a configuration, also on reload', async (t) => {
  const config = join(t.testdir(), 'daemon.json');
  const write = (exports: object): void => {
    const log = { level: 'debug', format: 'json' };
    writeFileSync(
      config,
      JSON.stringify({ exports, log, threads: 2, spin: 7, readDeadline: 3, strict: true }),
    );
  };
  write({ a: '/a' });
  const { canReload, log, options } = await serveSettings({ config, state }, []);
  t.match(options, {
    readDeadlineSeconds: 3,
    daemon: { threads: 2, spinMicroseconds: 7, strict: true },
  });
  t.same(log, { level: 'debug', format: 'json' });
  t.equal(canReload, true);
  const args: DaemonArguments = {
    config,
    state,
    threads: 5,
    spin: 'off',
    strict: false,
    'read-deadline': 9,
  };
  const over = await serveSettings({ ...args, 'log-level': 'error', 'log-format': 'pretty' }, []);
  t.match(over.options, {
    readDeadlineSeconds: 9,
    daemon: { threads: 5, spinMicroseconds: 0, strict: false },
  });
  t.same(over.log, { level: 'error', format: 'pretty' });
  write({ a: '/a', b: '/b' });
  t.same([...(await options.readServed()).exports.keys()], ['a', 'b']);
  write({});
  t.equal((await options.readServed()).exports.size, 0, 'a service may start without images');
});

const mustOpen = (args: DaemonArguments, exports = {}): boolean =>
  servedBy(args, { exports }).mustOpen('');

await test('a single image on the command line must open', (t) => {
  t.equal(mustOpen({ image }), true, 'the only image, named on the command line');
  t.equal(mustOpen({ export: ['a=1'] }), true);
  t.equal(mustOpen({ image, export: ['a=1'] }), false);
  t.equal(mustOpen({ image }, { a: '/a' }), false);
  t.equal(mustOpen({}, { a: '/a' }), false);
  t.equal(mustOpen({ strict: true }, { a: '/a' }), true);
  t.equal(mustOpen({ stdio: true }, { a: '/a' }), true);
  t.end();
});

await test('contradictory settings are refused', async (t) => {
  const cases: [DaemonArguments, RegExp][] = [
    [{}, /^nothing to serve/],
    [{ image, threads: 0 }, /^--threads: not a whole number from 1 to 256$/],
    [{ image, spin: '0' }, /^--spin: not off, auto or microseconds from 1 to 1000$/],
    [{ image, 'read-deadline': 0.5 }, /^--read-deadline: not a whole number from 1 to 3600$/],
    [{ image, 'max-devices': 65537 }, /^--max-devices: not a whole number from 1 to 65536$/],
  ];
  for (const [args, message] of cases) {
    await t.rejects(serveSettings({ state, ...args }, []), { code: 'BAD_ARGUMENT', message });
  }
  t.throws(() => servedBy({ config: 'd.json' }, {}), {
    message: 'nothing to serve: d.json has no "exports"',
  });
  t.equal(
    servedBy({ 'on-demand': true }, {}).exports.size,
    0,
    'with --on-demand, attach brings the images',
  );
});
