// Reading a range until its deadline: breakers, retries, blobs that are missing, hosts without ranges.
import { monotonicMs } from '../../../../daemon/lib/clock.js';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import { BLOB, DIGEST, image, layout, startFront } from '../../support/registry/front-client.js';
import { clientOf } from './client-front.js';

const LAST = 99_999;
const RIGHT = BLOB.subarray(0, LAST + 1);

await test('a dead registry: reads wait until it is back, also those that came long after', async (t) => {
  const { front } = await startFront(t);
  const { range, client } = clientOf(t, front);
  await front.die();
  const waiting = [range(0, LAST), range(0, LAST)];
  const isOpen = (): boolean => client.hosts().some(({ breaker }) => breaker !== 'closed');
  while (!isOpen()) await new Promise((resolve) => setTimeout(resolve, 5));
  waiting.push(range(5, LAST));
  t.match(client.hosts(), [{ host: front.host, lastError: /refuses connections/ }]);
  await front.revive();
  const [a, b, c] = await Promise.all(waiting);
  t.ok(a?.equals(RIGHT) && b?.equals(RIGHT) && c?.equals(RIGHT.subarray(5)));
  t.match(client.hosts(), [{ breaker: 'closed' }]);
});

await test('for a person, a registry that has never answered is given up soon, another one is waited for', async (t) => {
  const { front } = await startFront(t);
  const seams = { isPatient: false } as const;
  const unheard = clientOf(t, front, {}, seams);
  const heard = clientOf(t, front, {}, seams);
  t.ok((await heard.range(0, 99)).equals(RIGHT.subarray(0, 100)));
  await front.die();
  await t.rejects(unheard.range(0, LAST, { deadlineMs: 3_600_000 }), {
    code: 'REMOTE',
    facts: { host: front.host, attempts: 5 },
  });
  const waiting = heard.range(0, LAST);
  const isOpen = (): boolean => heard.client.hosts().some(({ breaker }) => breaker !== 'closed');
  while (!isOpen()) await new Promise((resolve) => setTimeout(resolve, 5));
  await front.revive();
  t.ok((await waiting).equals(RIGHT));
});

await test('offline: the message names the blob, and what brings it here', async (t) => {
  const { front } = await startFront(t);
  const { range } = clientOf(t, front, { offline: true });
  await t.rejects(range(0, LAST), {
    code: 'REMOTE',
    message: `${front.host}/test/app@${DIGEST}: not in the cache, and the network is not used (--offline): fetch its image with "overlaybd-nbd warm" first`,
    facts: { host: front.host, digest: DIGEST },
  });
});

await test('a dead registry and a deadline: an error that says all', async (t) => {
  const { front } = await startFront(t);
  const { range } = clientOf(t, front);
  await front.die();
  await t.rejects(range(5, LAST, { deadlineMs: 3000 }), {
    code: 'REMOTE',
    message: `${front.host}/test/app@${DIGEST}, bytes 5-${LAST}: ${front.host} refuses connections`,
    facts: {
      host: front.host,
      digest: DIGEST,
      range: `5-${LAST}`,
      attempts: Number,
      seconds: Number,
    },
  });
});

await test('a caller may give up', async (t) => {
  const { front } = await startFront(t);
  const { range, counters } = clientOf(t, front);
  const rule = front.rule({ match: {}, action: { do: 'stall' } });
  const abort = new AbortController();
  const reason = new Error('enough');
  const stalled = range(0, LAST, { signal: abort.signal });
  await front.log.waitFor(({ action }) => action === 'stall');
  abort.abort(reason);
  await t.rejects(stalled, reason);
  t.equal(counters.of(front.host).inFlight, 0);
  rule.release();
  t.ok((await range(0, LAST)).equals(RIGHT));
  await t.rejects(range(0, LAST, { signal: AbortSignal.abort(reason) }), reason);
});

await test('a limit of attempts, while the breaker is closed', async (t) => {
  const { front } = await startFront(t);
  const { range } = clientOf(t, front, {}, { limits: { breakerFailures: 100 } });
  front.rule({ match: {}, action: { do: 'status', status: 500 } });
  await t.rejects(range(0, LAST), { code: 'REMOTE', facts: { attempts: 8, status: 500 } });
  t.equal(front.log.requests.length, 8);
});

await test('64 KiB of progress start the count of attempts again', async (t) => {
  const { front } = await startFront(t);
  const limits = { attempts: 2, breakerFailures: 100 };
  const last = 6 * 65_536 - 1;
  const cut = (after: number) =>
    front.rule({ match: {}, action: { do: 'cut', after, length: 'chunked' } });
  const rule = cut(65_536);
  t.ok(
    (await clientOf(t, front, {}, { limits }).range(0, last)).equals(BLOB.subarray(0, last + 1)),
  );
  t.equal(rule.hits, 6);
  front.rules.clear();
  const slower = cut(32_767);
  await t.rejects(clientOf(t, front, {}, { limits }).range(0, last), {
    code: 'REMOTE',
    facts: { attempts: 2 },
  });
  t.equal(slower.hits, 2);
});

await test('Retry-After is kept, and the end comes at once if it is too late', async (t) => {
  const { front } = await startFront(t);
  const { range } = clientOf(t, front);
  const after = (value: string, times: number) => {
    const headers = { 'Retry-After': value };
    return front.rule({ match: {}, action: { do: 'status', status: 429, headers }, times });
  };
  after('1', 1);
  t.ok((await range(0, LAST)).equals(RIGHT));
  const [first, second] = front.log.requests;
  t.ok((second?.begin ?? 0) - (first?.end ?? Infinity) > 900, 'a second later');
  const late = [after('3600', 1), after(new Date(Date.now() + 3_600_000).toUTCString(), 1)];
  for (const rule of late) {
    await t.rejects(range(0, LAST), { code: 'REMOTE', facts: { attempts: 1, status: 429 } });
    t.equal(rule.hits, 1);
  }
});

await test('a missing blob is asked for twice, and then not for a while', async (t) => {
  const { front } = await startFront(t);
  let ahead = 0;
  const seams = { now: () => monotonicMs() + ahead, limits: { goneMs: 30_000 } };
  const { range } = clientOf(t, front, {}, seams);
  front.rule({ match: {}, action: { do: 'status', status: 404 }, times: 1 });
  t.ok((await range(0, LAST)).equals(RIGHT), 'another node has it');
  const rule = front.rule({ match: {}, action: { do: 'status', status: 404 } });
  const gone = { code: 'NOT_FOUND', facts: { status: 404 } };
  await t.rejects(range(0, LAST), gone);
  t.equal(rule.hits, 2);
  await t.rejects(range(0, LAST), gone);
  t.equal(rule.hits, 2);
  front.rules.clear();
  ahead = 31_000;
  t.ok((await range(0, LAST, { deadlineMs: 90_000 })).equals(RIGHT));
});

await test('connections that died unnoticed cost nothing', async (t) => {
  const { front } = await startFront(t);
  const { range } = clientOf(
    t,
    front,
    {},
    { limits: { connections: 1, attempts: 1, breakerFailures: 1 } },
  );
  for (let i = 0; i < 5; i++) {
    t.ok((await range(0, LAST)).equals(RIGHT));
    front.closeIdle();
  }
});

await test('a host that ignores ranges: small blobs only, and the message says what to do', async (t) => {
  const { front } = await startFront(t);
  const rule = front.rule({ match: {}, action: { do: 'whole' } });
  const { range } = clientOf(t, front);
  const { digest, size } = image.layers.find((each) => each.size <= 1 << 20) ?? {
    digest: DIGEST,
    size: BLOB.length,
  };
  const small = await range(70, 99, { digest, size });
  t.ok(
    small.equals(readFileSync(layout.blob(digest)?.path ?? '').subarray(70, 100)),
    'a small one',
  );
  t.equal(rule.hits, 1);
  let sent = 0;
  const server = createServer((_, response) => {
    response.writeHead(200, { 'content-length': 1 << 30 });
    const piece = Buffer.alloc(1 << 20);
    const more = (): void => {
      sent += piece.length;
      if (!response.destroyed && sent < 1 << 30) response.write(piece, more);
    };
    more();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const other = clientOf(t, front, { plainHttp: [host] }, { limits: { noRangesMs: 60_000 } });
  const ref = { kind: 'registry', host, repository: 'a', digest: DIGEST, size: 1 << 30 } as const;
  const deadlineMs = monotonicMs() + 60_000;
  const request = {
    ref,
    first: 5,
    last: 10,
    class: 'demand',
    deadlineMs,
    fromOrigin: false,
  } as const;
  const { signal } = new AbortController();
  for (let i = 0; i < 3; i++) {
    await t.rejects(
      other.client.fetchRange(request, () => t.fail('a byte'), signal),
      {
        code: 'REMOTE',
        message: /whole blob instead of a range.+for nginx: set slice/,
        facts: { host },
      },
    );
  }
  t.ok(sent < 1 << 28, 'the body is not read');
  t.equal(other.counters.of(host).requests.blob['200'], 2, 'once more, and then not for a while');
  t.equal(other.lines.length, 1);
});

await test('a wrong answer of a mirror: the origin has the right one', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const { range } = clientOf(t, front, { mirrors: [{ host: front.host, url: mirror.url }] });
  const rule = mirror.rule({ match: {}, action: { do: 'shifted-range', first: 1 } });
  t.ok((await range(0, LAST)).equals(RIGHT));
  t.equal(rule.hits, 1, 'the origin is the other host that is asked');
});

await test('a mirror that ignores ranges is left alone for a while', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const settings = { mirrors: [{ host: front.host, url: mirror.url }] };
  const limits = { noRangesMs: 60_000 };
  let ahead = 0;
  const now = (): number => monotonicMs() + ahead;
  const { range, lines } = clientOf(t, front, settings, { limits, now });
  const rule = mirror.rule({ match: {}, action: { do: 'whole' } });
  for (let i = 0; i < 3; i++) t.ok((await range(5, LAST)).equals(RIGHT.subarray(5)));
  t.equal(rule.hits, 1);
  t.match(lines, [/whole blob instead of a range/]);
  t.equal(lines.length, 1);
  ahead = 60_000;
  t.ok((await range(5, LAST, { deadlineMs: 90_000 })).equals(RIGHT.subarray(5)));
  t.equal(rule.hits, 2);
});

await test('a mirror that does not have a blob is not asked for it for a while', async (t) => {
  const { front } = await startFront(t);
  const { front: mirror } = await startFront(t);
  const settings = { mirrors: [{ host: front.host, url: mirror.url }] };
  let ahead = 0;
  const now = (): number => monotonicMs() + ahead;
  const { range, lines } = clientOf(t, front, settings, { limits: { goneMs: 60_000 }, now });
  const rule = mirror.rule({ match: {}, action: { do: 'status', status: 404 } });
  for (let i = 0; i < 3; i++) t.ok((await range(5, LAST)).equals(RIGHT.subarray(5)));
  t.equal(rule.hits, 1);
  t.same(lines, []);
  mirror.rules.clear();
  ahead = 60_000;
  t.ok((await range(5, LAST, { deadlineMs: 90_000 })).equals(RIGHT.subarray(5)));
  t.equal(mirror.log.requests.length, 2, 'and then again');
});

await test('a store that answers wrongly is left for another redirect', async (t) => {
  const { front } = await startFront(t, { redirect: 'store' });
  const { range } = clientOf(t, front);
  t.ok((await range(0, 99)).equals(BLOB.subarray(0, 100)));
  const asked = (): number => front.log.requests.filter(({ kind }) => kind === 'blob').length;
  t.equal(asked(), 1);
  const rule = front.rule({ match: { kind: 'data' }, action: { do: 'gzip' }, times: 1 });
  t.ok((await range(0, LAST)).equals(RIGHT));
  t.equal(rule.hits, 1);
  t.equal(asked(), 2, 'the registry was asked again where the blob is');
});

await test('offline', async (t) => {
  const { front } = await startFront(t);
  const { range, client } = clientOf(t, front, { offline: true });
  await t.rejects(range(0, LAST), { code: 'REMOTE', message: /--offline/ });
  await t.rejects(client.manifest(front.host, 'test/app', 'app', []), { code: 'REMOTE' });
  t.equal(await client.referrers(front.host, 'test/app', DIGEST), null);
  client.prepare(front.host, 'test/app');
  t.equal(front.log.requests.length, 0);
});
