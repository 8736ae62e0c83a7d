// Adding and removing exports of a daemon, with a fake daemon and fake devices. The real ones: test/e2e/exports.test.ts.
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { DEFAULT_REGISTRY_SETTINGS } from '../../../daemon/config/registry-settings.js';
import type { ExportStatus } from '../../../daemon/control/api.js';
import type { DeviceManager } from '../../../daemon/devices/manager.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { sourceOfWords, type ImageSource } from '../../../daemon/image/plan/image-source.js';
import { Turns } from '../../../daemon/lib/turns.js';
import { AddedExports } from '../../../daemon/server/added-exports.js';
import type { Daemon, ServedOptions } from '../../../daemon/server/daemon.js';
import { ExportChanges } from '../../../daemon/server/export-changes.js';

interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

const closed = (): void => undefined;

function gate(): Gate {
  let open = closed;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open: () => open() };
}

async function start(t: Test) {
  const log: string[] = [];
  const logger = { log: (level: string, text: string) => void log.push(`${level}: ${text}`) };
  const added = await AddedExports.open(join(t.testdir(), 'exports.json'), logger);
  const served = new Map<string, ImageSource>([['own', sourceOfWords(['/own'])]]);
  const slow = new Map<string, Gate>();
  /** Exports of the last reload that do not keep it from taking effect. */
  const optional: string[] = [];
  const daemon = {
    images: { exports: served, failed: new Map() },
    addExport: async (
      name: string,
      source: ImageSource,
      turn: (change: (keep: () => void) => Promise<void>) => Promise<void>,
    ) => {
      const [path] = source.blobs;
      if (path?.kind === 'file' && path.path === '/bad') throw new OverlaybdError('BAD_FORMAT', '');
      await slow.get(name)?.opened;
      await turn(async (keep) => {
        keep();
        served.set(name, source);
      });
    },
    removeExport: async (name: string, keep: () => void) => {
      keep();
      served.delete(name);
    },
    reload: async ({ exports }: ServedOptions, mayFail: (name: string) => boolean) => {
      optional.splice(0, Infinity, ...[...exports.keys()].filter(mayFail));
      served.clear();
      for (const [name, source] of exports) served.set(name, source);
    },
  };
  const attached: { export: string; device: string }[] = [];
  const turns = new Turns();
  const devices = {
    status: async () => attached,
    undisturbed: (work: () => Promise<void>) => turns.run(work),
  };
  const changes = new ExportChanges({
    daemon: daemon as unknown as Daemon,
    devices: devices as unknown as DeviceManager,
    added,
    log: logger,
    statuses: async () => [...served.keys()].map((name) => ({ name }) as ExportStatus),
  });
  return { added, attached, changes, optional, served, slow };
}

function configured(...names: string[]): ServedOptions {
  const exports = new Map(names.map((name) => [name, sourceOfWords([`/${name}`])]));
  return { exports, tls: null, registries: DEFAULT_REGISTRY_SETTINGS };
}

await test('an export is added, replaced, kept by a reload, and removed', async (t) => {
  const { added, changes, optional, served } = await start(t);
  t.match(await changes.add('web', { image: ['/a'] }), { name: 'web' });
  await changes.add('web', { image: ['/b'], partition: 2 });
  t.same(served.get('web'), sourceOfWords(['/b'], 2));
  const beside = { tocBlob: null, tocDigest: null, ztocs: [], layer: 1 };
  await changes.add('one', { image: ['/b'], beside });
  t.same(served.get('one'), sourceOfWords(['/b'], null, beside));
  await changes.remove('one');
  await changes.reload(configured('own', 'other'));
  t.same([...served.keys()].toSorted(), ['other', 'own', 'web']);
  t.same(optional, ['web'], 'one that was added may fail');
  await changes.reload(configured('web'));
  t.same(optional, [], 'but not one that the configuration has by now');
  t.same(served.get('web'), sourceOfWords(['/web']), 'the configuration wins');
  t.notOk(added.has('web'));
  await changes.add('late', { image: ['/a'] });
  await changes.remove('late');
  t.notOk(added.has('late'));
  await t.rejects(changes.remove('late'), { code: 'NOT_FOUND', facts: { export: 'late' } });
  await t.rejects(changes.one('late'), { code: 'NOT_FOUND' });
});

await test('what is refused changes nothing', async (t) => {
  const { added, attached, changes, served } = await start(t);
  const own = {
    code: 'BUSY',
    message: /"own": it is one of the configuration/,
    facts: { export: 'own' },
  };
  await t.rejects(changes.add('own', { image: ['/a'] }), own);
  await t.rejects(changes.remove('own'), own);
  await t.rejects(changes.add('web', { image: ['/bad'] }), { code: 'BAD_FORMAT' });
  t.notOk(added.has('web'));
  await changes.add('web', { image: ['/a'] });
  attached.push({ export: 'web', device: '/dev/nbd3' });
  const busy = { code: 'BUSY', message: 'export "web": in use by /dev/nbd3: detach it first' };
  await t.rejects(changes.remove('web'), busy);
  t.ok(served.has('web'));
  t.ok(added.has('web'));
  added.freeze(true);
  await t.rejects(changes.add('next', { image: ['/a'] }), { code: 'BUSY' });
  t.notOk(served.has('next'));
});

await test('an image that opens slowly delays no reload, and finds what the reload has made', async (t) => {
  const { changes, served, slow } = await start(t);
  for (const name of ['web', 'db']) slow.set(name, gate());
  const web = changes.add('web', { image: ['/a'] });
  const db = changes.add('db', { image: ['/a'] });
  await changes.reload(configured('own', 'db'));
  slow.get('web')?.open();
  await web;
  t.same([...served.keys()].toSorted(), ['db', 'own', 'web']);
  slow.get('db')?.open();
  await t.rejects(db, { code: 'BUSY' }, 'the configuration has taken the name meanwhile');
  t.same(served.get('db'), sourceOfWords(['/db']));
});
