// The client against a registry: manifests, ranges, logins, and the limits that it has by itself.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as tick } from 'node:timers/promises';
import { test, type Test } from 'tap';
import type { RegistrySettings } from '../../../../daemon/config/registry-settings.js';
import type { ClientSeams } from '../../../../daemon/registry/http/client.js';
import type { HttpLimits } from '../../../../daemon/registry/http/limits.js';
import type { FaultFront } from '../../../support/registry/fault-front.js';
import { OCI } from '../../../support/registry/media-types.js';
import {
  BLOB,
  image,
  REPOSITORY,
  startFront,
} from '../../../unit/support/registry/front-client.js';
import { clientOf } from '../../../unit/registry/http/client-front.js';

const FIRST = 65_536;
const LAST = 131_071;
const RIGHT = BLOB.subarray(FIRST, LAST + 1);
const ACCEPT = [OCI.manifest, OCI.index];

await test('manifests by tag and by digest, and whether a tag has moved', async (t) => {
  const { front } = await startFront(t);
  const { client } = clientOf(t, front);
  const byTag = await client.manifest(front.host, REPOSITORY, 'app', ACCEPT);
  t.equal(byTag.digest, image.top.digest);
  t.equal(byTag.mediaType, OCI.manifest);
  const byDigest = await client.manifest(front.host, REPOSITORY, image.top.digest, ACCEPT);
  t.same(byDigest, byTag);
  const known = image.top.digest;
  const again = await client.manifest(front.host, REPOSITORY, 'app', ACCEPT, { known });
  t.same(again, { notModified: true });
  const other = { known: `sha256:${'0'.repeat(64)}` };
  t.same(await client.manifest(front.host, REPOSITORY, 'app', ACCEPT, other), byTag);
  await t.rejects(client.manifest(front.host, REPOSITORY, 'nothing', ACCEPT), {
    code: 'NOT_FOUND',
    facts: { status: 404, host: front.host, failure: 'gone' },
  });
});

await test('ranges, each with one request on a connection that is kept', async (t) => {
  const { front } = await startFront(t);
  const { range, counters } = clientOf(t, front);
  t.ok((await range(FIRST, LAST)).equals(RIGHT));
  t.ok((await range(0, 0)).equals(BLOB.subarray(0, 1)));
  t.ok((await range(0, BLOB.length - 1)).equals(BLOB));
  t.equal(front.log.requests.length, 3);
  // undici waits a turn before it uses a connection again.
  t.ok(front.log.connections() <= 2);
  t.same(front.log.violations(), []);
  t.match(counters.hosts.get(front.host), { requests: { blob: { 206: 3 } }, inFlight: 0 });
});

for (const scheme of ['basic', 'bearer'] as const) {
  for (const challenges of ['one', 'one header', 'several headers'] as const) {
    await test(`${scheme} login, challenges: ${challenges}`, async (t) => {
      const { front } = await startFront(t, { auth: { scheme, users: { me: 'a:b' }, challenges } });
      const config = t.testdir({
        'config.json': JSON.stringify({
          auths: { [front.host]: { auth: Buffer.from('me:a:b').toString('base64') } },
        }),
      });
      const { client, range } = clientOf(t, front, { dockerConfig: `${config}/config.json` });
      t.ok((await range(FIRST, LAST)).equals(RIGHT));
      t.ok((await range(0, 9)).equals(BLOB.subarray(0, 10)));
      await client.manifest(front.host, REPOSITORY, 'app', ACCEPT);
      const refused = front.log.requests.filter(({ status }) => status === 401);
      t.equal(refused.length, 1, 'the login is sent at once from then on');
    });
  }
}

/** Of a loop that waits for what happens in some of them. A test that waits for ever only says that it is late. */
const TURNS = 20_000;
/** These are real times, which a busy machine must not exceed. */
const PATIENT = { connectMs: 60_000, firstByteMs: 60_000, silenceMs: 60_000, chunkMs: 60_000 };

interface More extends Pick<Partial<ClientSeams>, 'env' | 'files'> {
  readonly settings?: Partial<RegistrySettings>;
}

/** A client with its own limits, by a clock of the test. */
function withClock(t: Test, front: FaultFront, limits: Partial<HttpLimits> = {}, more: More = {}) {
  const clock = { at: 0 };
  const { settings = {}, ...others } = more;
  const seams = {
    limits: { ...PATIENT, ...limits },
    now: () => clock.at,
    random: () => 0,
    ...others,
  };
  return { clock, ...clientOf(t, front, settings, seams, {}) };
}

await test('a breaker: 5 failures, then probes after 1, 2, 4, 8 and always 10 s', async (t) => {
  const { front } = await startFront(t);
  const { clock, client, range } = withClock(t, front);
  const rule = front.rule({ match: {}, action: { do: 'status', status: 500 } });
  const enough = new Error('enough');
  /** Begins a read, and gives it up when that many requests have been answered. */
  const readUntil = async (count: number, isThere: () => boolean): Promise<void> => {
    const abort = new AbortController();
    const reading = range(0, 99, { signal: abort.signal });
    const ended = reading.then(
      () => true,
      () => true,
    );
    const hasEnded = (): Promise<boolean> => Promise.race([ended, tick(1, false)]);
    // The front answers within turns of this loop, however busy the machine is.
    for (let turns = 0; turns < TURNS && !isThere() && !(await hasEnded()); turns++);
    abort.abort(enough);
    await t.rejects(reading, enough);
    t.equal(rule.hits, count);
  };
  const isOpenAfter = (count: number) => (): boolean =>
    rule.hits >= count && client.hosts()[0]?.breaker === 'open';
  await readUntil(5, isOpenAfter(5));
  for (const [i, seconds] of [1, 2, 4, 8, 10, 10].entries()) {
    clock.at += seconds * 1000 - 1;
    let turns = 0;
    await readUntil(5 + i, () => turns++ > 5);
    clock.at++;
    await readUntil(6 + i, isOpenAfter(6 + i));
  }
});

await test('8 attempts of a range', async (t) => {
  const { front } = await startFront(t);
  const { range } = withClock(t, front, { breakerFailures: 100 });
  const rule = front.rule({ match: {}, action: { do: 'status', status: 500 } });
  await t.rejects(range(0, 99), { code: 'REMOTE', facts: { attempts: 8, failure: 'retry' } });
  t.equal(rule.hits, 8);
});

await test('for how long answers are remembered', async (t) => {
  const { front } = await startFront(t);
  for (const [action, milliseconds, size] of [
    [{ do: 'status', status: 404 }, 30_000, BLOB.length],
    [{ do: 'whole' }, 10_000, BLOB.length],
  ] as const) {
    const { clock, range } = withClock(t, front);
    const rule = front.rule({ match: {}, action });
    const read = () =>
      range(5, 9, { size }).then(
        () => 'read',
        () => 'failed',
      );
    t.equal(await read(), 'failed');
    t.equal(rule.hits, 2);
    clock.at = milliseconds - 1;
    t.equal(await read(), 'failed');
    t.equal(rule.hits, 2);
    front.rules.clear();
    clock.at = milliseconds;
    t.equal(await read(), 'read', JSON.stringify(action));
  }
});

await test('a registry without the referrers API is not asked for an hour', async (t) => {
  const { front } = await startFront(t);
  const { clock, client } = withClock(t, front);
  const ask = () => client.referrers(front.host, REPOSITORY, image.top.digest);
  const asked = () => front.log.requests.length;
  t.equal(await ask(), null);
  clock.at = 3_599_999;
  t.equal(await ask(), null);
  t.equal(asked(), 1);
  clock.at = 3_600_000;
  t.equal(await ask(), null);
  t.equal(asked(), 2);
});

await test('a refused login is not tried again for 5 s', async (t) => {
  const auth = { scheme: 'bearer', users: { me: 'right' } } as const;
  const { front } = await startFront(t, { auth });
  const { clock, range } = withClock(t, front);
  const asked = () => front.log.requests.filter(({ kind }) => kind === 'token').length;
  await t.rejects(range(0, 9), { code: 'AUTH' });
  const before = asked();
  clock.at = 4999;
  await t.rejects(range(0, 9), { code: 'AUTH' });
  t.equal(asked(), before);
  clock.at = 5000;
  await t.rejects(range(0, 9), { code: 'AUTH' });
  t.ok(asked() > before);
});

await test('16 requests to a host at the same time', async (t) => {
  const { front } = await startFront(t);
  const { range, counters } = withClock(t, front);
  const rule = front.rule({ match: {}, action: { do: 'stall' } });
  const all = Array.from({ length: 20 }, (_, i) => range(i, i));
  while (rule.hits < 16) await tick(1);
  t.equal(counters.of(front.host).inFlight, 16);
  front.rules.clear();
  rule.release();
  t.same(Buffer.concat(await Promise.all(all)), BLOB.subarray(0, 20));
});

await test('configuration files are looked at again after a second', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const certs = t.testdir({ [front.host]: {} });
  const files = { certsFolders: [certs], registriesConf: '/proc/nonexistent' };
  const { clock, range } = withClock(t, front, {}, { files });
  const asked = async (at: number): Promise<number> => {
    clock.at = at;
    await range(0, 9);
    return mirror.log.requests.length;
  };
  t.equal(await asked(0), 0);
  const hosts = `server = "${front.url}"\n[host."${mirror.url}"]\n`;
  writeFileSync(join(certs, front.host, 'hosts.toml'), hosts);
  t.equal(await asked(999), 0);
  t.equal(await asked(1000), 1);
});

await test('the answer of a helper is renewed after 10 minutes, while it is used', async (t) => {
  const { front } = await startFront(t, { auth: { scheme: 'basic', users: { me: 'pw' } } });
  const folder = t.testdir({ 'config.json': JSON.stringify({ credsStore: 'test' }) });
  const runs = join(folder, 'runs');
  const answer = JSON.stringify({ Username: 'me', Secret: 'pw' });
  const script = `#!/bin/sh\ncat >/dev/null\nprintf x >>${runs}\necho '${answer}'\n`;
  writeFileSync(join(folder, 'docker-credential-test'), script, { mode: 0o755 });
  const env = { HOME: folder, DOCKER_CONFIG: folder, PATH: `${folder}:${process.env['PATH']}` };
  const { clock, range } = withClock(t, front, {}, { env });
  await range(0, 9);
  clock.at = 599_999;
  await range(0, 9);
  t.equal(readFileSync(runs, 'utf8'), 'x');
  clock.at = 600_000;
  await range(0, 9);
  for (let turns = 0; turns < TURNS && readFileSync(runs, 'utf8') === 'x'; turns++) await tick(1);
  t.equal(readFileSync(runs, 'utf8'), 'xx');
});
