// The fault front as a registry: manifests, ranges, authorization, signed URLs, and how rules choose requests.
import { test } from 'tap';
import { shortFolder } from '../../../support/daemon-process.js';
import { DOCKER, OCI } from '../../../support/registry/media-types.js';
import { makePki } from '../../../support/tls-files.js';
import { requireTool } from '../../../support/tools.js';
import {
  BLOB,
  DIGEST,
  image,
  REPOSITORY,
  startFront,
} from '../../../unit/support/registry/front-client.js';

const FIRST = 65_536;
const LAST = 131_071;
const RIGHT = BLOB.subarray(FIRST, LAST + 1);

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`;

await test('without rules it is a registry', async (t) => {
  const { front, get, range } = await startFront(t);
  t.equal((await get('/v2/')).status, 200);
  const manifest = await get(`/v2/${REPOSITORY}/manifests/app`, { accept: OCI.manifest });
  t.equal(manifest.status, 200);
  t.equal(manifest.headers['content-type'], OCI.manifest);
  t.equal(manifest.headers['docker-content-digest'], image.top.digest);
  const etag = manifest.headers['etag'] ?? '';
  const again = await get(`/v2/${REPOSITORY}/manifests/${image.top.digest}`, {
    accept: OCI.manifest,
    'if-none-match': etag,
  });
  t.equal(again.status, 304);
  for (const accept of ['*/*', DOCKER.manifest]) {
    const { status, body } = await get(`/v2/${REPOSITORY}/manifests/app`, { accept });
    t.equal(status, 404, `Accept: ${accept}`);
    t.match(body.toString(), 'MANIFEST_UNKNOWN');
  }
  const { status, headers, body } = await range(100, 70_000);
  t.equal(status, 206);
  t.equal(headers['content-range'], `bytes 100-70000/${BLOB.length}`);
  t.ok(body.equals(BLOB.subarray(100, 70_001)), 'the bytes');
  const past = await range(BLOB.length, BLOB.length + 5);
  t.equal(past.status, 416);
  t.equal(past.headers['content-range'], `bytes */${BLOB.length}`);
  t.equal((await range(BLOB.length - 10, BLOB.length + 500)).body.length, 10, 'to the end');
  const whole = await get(`/v2/${REPOSITORY}/blobs/${DIGEST}`);
  t.equal(whole.status, 200);
  t.ok(whole.body.equals(BLOB));
  t.equal((await get(`/v2/${REPOSITORY}/blobs/sha256:${'0'.repeat(64)}`)).status, 404);
  t.equal((await get(`/v2/other/blobs/${DIGEST}`)).status, 404, 'another repository');
  t.equal((await get(`/v2/${REPOSITORY}/referrers/${image.plain?.digest}`)).status, 404);
  t.equal(front.log.connections(), 1, 'one connection is enough');
});

await test('the referrers API, if it has it', async (t) => {
  const { get } = await startFront(t, { referrers: true });
  const { status, body } = await get(`/v2/${REPOSITORY}/referrers/${image.plain?.digest}`);
  t.equal(status, 200);
  t.match(JSON.parse(body.toString()), { manifests: [{ digest: image.top.digest }] });
});

await test('a reset in the body', async (t) => {
  const { front, range } = await startFront(t);
  front.rule({ match: { kind: 'data' }, action: { do: 'reset-after', after: 5000 }, times: 1 });
  const answer = await range(FIRST, LAST);
  t.equal(answer.status, 206);
  t.match(answer.problem, /ECONNRESET|UND_ERR_SOCKET/);
  t.ok(answer.body.equals(RIGHT.subarray(0, answer.body.length)), 'what comes is right');
  t.equal(front.log.requests[0]?.ended, 'reset');
});

for (const action of [{ do: 'stall' }, { do: 'stall-after', after: 5000 }] as const) {
  await test(`${action.do}: until the test lets it go on`, async (t) => {
    const { front, range } = await startFront(t);
    const rule = front.rule({ match: { kind: 'data' }, action });
    const stalled = range(FIRST, LAST);
    await t.resolves(front.log.waitFor(({ action: done }) => done === action.do));
    t.equal(front.log.open, 1);
    rule.release();
    const answer = await stalled;
    t.ok(answer.body.equals(RIGHT));
    t.ok((await range(FIRST, LAST)).body.equals(RIGHT), 'the next one does not stall');
  });
}

await test('rules choose by place, order and count', async (t) => {
  const { front, range } = await startFront(t);
  const action = { do: 'status', status: 500 } as const;
  const there = front.rule({
    match: { kind: 'blob', covers: FIRST + 5 },
    action,
    skip: 1,
    times: 2,
  });
  const statuses: number[] = [];
  for (let i = 0; i < 5; i++) statuses.push((await range(FIRST, LAST)).status);
  t.same(statuses, [206, 500, 500, 206, 206]);
  t.equal((await range(0, FIRST)).status, 206, 'elsewhere');
  t.equal(there.hits, 2);
  front.rule({ match: { reference: DIGEST, longerThan: 100 }, action });
  t.equal((await range(0, 99)).status, 206);
  t.equal((await range(0, 100)).status, 500);
  front.rules.clear();
  t.equal((await range(0, 100)).status, 206);
});

await test('a signed URL expires, and no Authorization belongs to it', async (t) => {
  const { front, get, range } = await startFront(t, { redirect: 'store' });
  const { status, headers } = await range(0, 9);
  t.equal(status, 307);
  const location = headers['location'] ?? '';
  t.match(location, `http://${front.storeHost}/`);
  const ask = { range: 'bytes=0-9' };
  t.ok((await get(location, ask)).body.equals(BLOB.subarray(0, 10)));
  await get(location, { ...ask, authorization: 'Bearer x' });
  t.match(front.log.violations(), [/Authorization for the store/]);
  front.urls.expireAll();
  const late = await get(location, ask);
  t.equal(late.status, 403);
  t.match(late.body.toString(), 'AccessDenied');
});

await test('a relative Location', async (t) => {
  const { front, get, range } = await startFront(t, { redirect: 'relative' });
  const { headers } = await range(0, 9);
  t.match(headers['location'], /^\/store\//);
  const answer = await get(`${front.url}${headers['location'] ?? ''}`, { range: 'bytes=0-9' });
  t.ok(answer.body.equals(BLOB.subarray(0, 10)));
});

await test('a dead registry refuses connections, and comes back at the same port', async (t) => {
  const { front, range } = await startFront(t);
  t.equal((await range(0, 9)).status, 206);
  await front.die();
  t.match((await range(0, 9)).problem, /ECONNREFUSED|UND_ERR_SOCKET|ECONNRESET/);
  t.equal((await range(0, 9)).problem, 'ECONNREFUSED');
  await front.revive();
  t.equal((await range(0, 9)).status, 206);
});

await test('with TLS', async (t) => {
  if (!requireTool(t, 'openssl')) return;
  const { server } = await makePki(shortFolder(t));
  const { front, range } = await startFront(t, { tls: server.pem });
  t.ok((await range(FIRST, LAST)).body.equals(RIGHT));
  for (const action of [
    { do: 'reset' },
    { do: 'close' },
    { do: 'reset-after', after: 100 },
  ] as const) {
    const rule = front.rule({ match: { kind: 'data' }, action, times: 1 });
    t.match((await range(FIRST, LAST)).problem, /ECONNRESET|UND_ERR_SOCKET/, action.do);
    t.equal(rule.hits, 1);
  }
  t.ok((await range(FIRST, LAST)).body.equals(RIGHT));
  await front.die();
  await range(0, 9);
  t.equal((await range(0, 9)).problem, 'ECONNREFUSED');
});

await test('basic authorization', async (t) => {
  const { get } = await startFront(t, { auth: { scheme: 'basic', users: { user: 'a:b' } } });
  const path = `/v2/${REPOSITORY}/blobs/${DIGEST}`;
  const refused = await get(path);
  t.equal(refused.status, 401);
  t.match(refused.headers['www-authenticate'], /^Basic realm=/);
  t.equal((await get(path, { authorization: basic('user:a:b') })).status, 200);
  t.equal((await get(path, { authorization: basic('user:c') })).status, 401);
});

await test('bearer tokens, and their end', async (t) => {
  const { front, get } = await startFront(t, { auth: { scheme: 'bearer', anonymous: true } });
  const path = `/v2/${REPOSITORY}/manifests/app`;
  const refused = await get(path, { accept: OCI.manifest });
  t.equal(refused.status, 401);
  const said = refused.headers['www-authenticate'] ?? '';
  const [, realm, service, scope] = /realm="(.*?)",service="(.*?)",scope="(.*?)"/.exec(said) ?? [];
  const query = new URLSearchParams({ service: service ?? '', scope: scope ?? '' }).toString();
  const { body } = await get(`${realm}?${query}`);
  const { token } = JSON.parse(body.toString()) as { token: string };
  const authorization = `Bearer ${token}`;
  t.equal((await get(path, { accept: OCI.manifest, authorization })).status, 200);
  t.equal(
    (await get(`/v2/other/manifests/app`, { accept: OCI.manifest, authorization })).status,
    401,
    'for this repository alone',
  );
  front.tokens?.expireAll();
  t.equal((await get(path, { accept: OCI.manifest, authorization })).status, 401);
  t.equal(front.tokens?.issued, 1);
  t.same(
    front.log.filter({ kind: 'manifest' }).map((each) => each.authorization),
    [null, 'Bearer', 'Bearer', 'Bearer'],
  );
});

await test('several challenges', async (t) => {
  for (const challenges of ['one header', 'several headers'] as const) {
    const { get } = await startFront(t, { auth: { scheme: 'bearer', challenges, refusal: 403 } });
    const { status, headers } = await get('/v2/');
    t.equal(status, 403);
    const lines = headers['www-authenticate']?.split('\n') ?? [];
    t.equal(lines.length, challenges === 'one header' ? 1 : 3);
  }
});
