// A registry of plain http sends the client elsewhere: over http, it goes only to hosts that are named for it.
import { test } from 'tap';
import { OCI } from '../../../support/registry/media-types.js';
import { BLOB, REPOSITORY, startFront } from '../../support/registry/front-client.js';
import { clientOf } from './client-front.js';
import { startServer } from './small-server.js';

await test('a redirect', async (t) => {
  const { front } = await startFront(t);
  const store = front.host.replace('127.0.0.1', 'localhost');
  const host = await startServer(t, (request, response) => {
    response.writeHead(307, { location: `http://${store}${request.url ?? ''}` }).end();
  });
  const limits = { breakerFailures: 1 };
  const unnamed = clientOf(t, front, { plainHttp: [host] }, { limits });
  const refused = { code: 'REMOTE', message: `add --plain-http ${store}`, facts: { host } };
  await t.rejects(unnamed.range(0, 99, { host }), refused, 'of a blob');
  const tag = [host, REPOSITORY, 'app', [OCI.manifest, OCI.index]] as const;
  await t.rejects(unnamed.client.manifest(...tag), refused, 'of a manifest');
  t.same(front.log.requests, [], 'not asked');
  const states = unnamed.client.hosts().map(({ kind, breaker }) => `${kind} ${breaker}`);
  t.same(states.toSorted(), ['blob closed', 'manifest closed'], 'other blobs are not delayed');
  const named = clientOf(t, front, { plainHttp: [host, store] });
  t.ok((await named.range(0, 99, { host })).equals(BLOB.subarray(0, 100)));
  t.equal((await named.client.manifest(...tag)).digest.slice(0, 7), 'sha256:');
});

await test('a token service gets no password', async (t) => {
  const { front } = await startFront(t);
  const asked: (string | undefined)[] = [];
  const service = await startServer(t, ({ headers }, response) => {
    asked.push(headers.authorization);
    response.end('{"token":"t"}');
  });
  const realm = service.replace('127.0.0.1', 'localhost');
  const host = await startServer(t, ({ headers, url }, response) => {
    if (headers.authorization === 'Bearer t') {
      response.writeHead(307, { location: `${front.url}${url ?? ''}` }).end();
      return;
    }
    response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${realm}/token"` }).end();
  });
  const auth = Buffer.from('user:secret').toString('base64');
  const file = JSON.stringify({ auths: { [host]: { auth } } });
  const authFile = `${t.testdir({ 'config.json': file })}/config.json`;
  const unnamed = clientOf(t, front, { plainHttp: [host], dockerConfig: authFile });
  await t.rejects(unnamed.range(0, 99, { host }), {
    code: 'REMOTE',
    message: `names a token service at ${realm} over plain http`,
  });
  t.same(asked, []);
  const named = clientOf(t, front, { plainHttp: [host, realm], dockerConfig: authFile });
  t.ok((await named.range(0, 99, { host })).equals(BLOB.subarray(0, 100)));
  t.same(asked, [`Basic ${auth}`]);
});
