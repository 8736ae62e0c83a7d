// Referrers: pages, and the many ways of not having them.
import { monotonicMs } from '../../../../daemon/lib/clock.js';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'tap';
import type { Action } from '../../../support/registry/rules.js';
import { image, REPOSITORY, startFront } from '../../support/registry/front-client.js';
import { clientOf } from './client-front.js';
import { startServer } from './small-server.js';

const PLAIN = image.plain?.digest ?? '';
const INDEX = 'application/vnd.oci.image.index.v1+json';

await test('what refers to a manifest', async (t) => {
  const { front } = await startFront(t, { referrers: true });
  const { client } = clientOf(t, front);
  const found = await client.referrers(front.host, REPOSITORY, PLAIN);
  t.match(JSON.parse(Buffer.from(found ?? []).toString()), {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: [{ digest: image.top.digest }],
  });
  const none = await client.referrers(front.host, REPOSITORY, image.top.digest);
  t.match(JSON.parse(Buffer.from(none ?? []).toString()), { manifests: [] });
  await client.referrers(front.host, REPOSITORY, PLAIN);
  t.equal(front.log.requests.length, 3, 'an empty list is an answer');
});

for (const [name, action] of [
  ['404', { do: 'status', status: 404 }],
  ['401 without a challenge', { do: 'status', status: 401 }],
  ['400', { do: 'status', status: 400, body: 'html' }],
  ['200 with a page', { do: 'status', status: 200, body: 'html' }],
  ['200 with nothing', { do: 'status', status: 200, body: 'none' }],
] as const satisfies readonly (readonly [string, Action])[]) {
  await test(`${name}: none here, remembered for an hour`, async (t) => {
    const { front } = await startFront(t, { referrers: true });
    let ahead = 0;
    const { client } = clientOf(t, front, {}, { now: () => monotonicMs() + ahead });
    const rule = front.rule({ match: { kind: 'referrers' }, action });
    const ask = () => client.referrers(front.host, REPOSITORY, PLAIN);
    t.equal(await ask(), null);
    t.equal(await ask(), null);
    t.equal(rule.hits, name.startsWith('401') ? 2 : 1, 'a refusal is not an answer about the API');
    front.rules.clear();
    ahead = 3_700_000;
    t.ok(await ask());
  });
}

await test('no answer at all: none, and not remembered', async (t) => {
  const { front } = await startFront(t, { referrers: true });
  const { client } = clientOf(t, front, { fetchDeadline: 0.5 });
  await front.die();
  t.equal(await client.referrers(front.host, REPOSITORY, PLAIN), null);
  await front.revive();
  t.ok(await clientOf(t, front).client.referrers(front.host, REPOSITORY, PLAIN));
});

const entry = (name: string) => ({ mediaType: INDEX, digest: `sha256:${name}`, size: 1 });

await test('pages, to a bound, and never from another host', async (t) => {
  const { front } = await startFront(t);
  const asked: string[] = [];
  const links = ['<?page=2>; rel="next"', `<${front.url}/x>; rel="next"`];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.writeHead(200, { 'content-type': INDEX, link: links[asked.length - 1] ?? '' });
    response.end(JSON.stringify({ schemaVersion: 2, manifests: [entry(`${asked.length}`)] }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { client } = clientOf(t, front, { plainHttp: [host] });
  const list = async () => Buffer.from((await client.referrers(host, 'a', PLAIN)) ?? []).toString();
  t.match(JSON.parse(await list()), { manifests: [entry('1'), entry('2')] });
  t.same(asked, [`/v2/a/referrers/${PLAIN}`, `/v2/a/referrers/${PLAIN}?page=2`]);
  t.equal(front.log.requests.length, 0);
  links.splice(0, links.length, ...Array.from({ length: 100 }, () => '<?page=n>; rel=next'));
  asked.length = 0;
  await list();
  t.equal(asked.length, 32);
});

await test('a page of 4 MiB is read, and nothing longer', async (t) => {
  const { front } = await startFront(t);
  let length = 4_194_304;
  const list = JSON.stringify({ manifests: [entry('a')] });
  const host = await startServer(t, (_, response) => void response.end(list.padEnd(length)));
  const { client } = clientOf(t, front, { plainHttp: [host] });
  t.ok(await client.referrers(host, 'a', PLAIN));
  length++;
  t.equal(await client.referrers(host, 'a', PLAIN), null);
});
