// The client against a registry: manifests, ranges, logins.
import { test } from 'tap';
import { OCI } from '../../../support/registry/media-types.js';
import { BLOB, image, REPOSITORY, startFront } from '../../support/registry/front-client.js';
import { clientOf } from './client-front.js';

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
    facts: { status: 404, host: front.host },
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
  t.match(counters.hosts.get(front.host), { requests: { 206: 3 }, inFlight: 0 });
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
