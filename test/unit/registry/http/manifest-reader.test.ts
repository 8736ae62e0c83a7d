// Reading manifests: names that do not resolve, and answers that are not what was asked for.
import type { LookupAddress } from 'node:dns';
import { test, type Test } from 'tap';
import { OCI } from '../../../support/registry/media-types.js';
import type { FaultFront } from '../../../support/registry/fault-front.js';
import { BLOB, image, REPOSITORY, startFront } from '../../support/registry/front-client.js';
import { clientOf, type TestClient } from './client-front.js';
import { startServer } from './small-server.js';

const ACCEPT = [OCI.manifest, OCI.index];
const HERE: LookupAddress[] = [{ address: '127.0.0.1', family: 4 }];

interface Named extends TestClient {
  /** "registry.test:PORT" */
  readonly host: string;
  /** Names that were looked up. */
  readonly asked: string[];
}

/** A client that calls the front by a name, whose first questions for it fail. */
function namedClient(t: Test, front: FaultFront, codes: string[], mirrors: string[] = []): Named {
  const [, port] = front.host.split(':');
  const host = `registry.test:${port}`;
  const asked: string[] = [];
  const resolveName = (name: string): Promise<LookupAddress[]> => {
    asked.push(name);
    const code = codes.shift();
    return code === undefined
      ? Promise.resolve(HERE)
      : Promise.reject(Object.assign(new Error(code), { code }));
  };
  const settings = { plainHttp: [host], mirrors: mirrors.map((url) => ({ host, url })) };
  const client = clientOf(t, front, settings, { resolveName, limits: { breakerFailures: 100 } });
  return { ...client, host, asked };
}

await test('a name that does not exist ends it at once', async (t) => {
  const { front } = await startFront(t);
  const { client, host, asked } = namedClient(t, front, ['ENOTFOUND']);
  await t.rejects(client.manifest(host, REPOSITORY, 'app', ACCEPT), {
    code: 'REMOTE',
    message: `${host}/${REPOSITORY}:app: ${host} has no address: name servers do not know its name; check how it is spelled (1 attempt`,
    facts: { host, attempts: 1 },
  });
  t.same(asked, ['registry.test']);
  t.ok(
    await client.manifest(host, REPOSITORY, 'app', ACCEPT),
    'and is asked for again the next time',
  );
});

await test('of a tag that is known, a host that refuses connections is asked once', async (t) => {
  const { front } = await startFront(t);
  const { client } = clientOf(t, front);
  await front.die();
  const known = `sha256:${'0'.repeat(64)}`;
  await t.rejects(client.manifest(front.host, REPOSITORY, 'app', ACCEPT, { known }), {
    code: 'REMOTE',
    facts: { host: front.host, attempts: 1 },
  });
});

await test('for a person, a host that has never taken a connection is given up soon', async (t) => {
  const { front } = await startFront(t);
  const limits = { probeFirstMs: 60_000, probeMostMs: 60_000 };
  const { client } = clientOf(t, front, { fetchDeadline: 3600 }, { limits, isPatient: false });
  await front.die();
  await t.rejects(client.manifest(front.host, REPOSITORY, 'app', ACCEPT), {
    code: 'REMOTE',
    message: `app: ${front.host} refuses connections: check that it runs, and its port (5 attempts`,
    facts: { host: front.host, attempts: 5 },
  });
});

await test('of a tag that is known, a host that has failed too often is not waited for', async (t) => {
  const { front } = await startFront(t);
  const limits = { breakerFailures: 1, probeFirstMs: 60_000, probeMostMs: 60_000 };
  const { client } = clientOf(t, front, { fetchDeadline: 60 }, { limits });
  await front.die();
  const known = `sha256:${'0'.repeat(64)}`;
  const ask = () => client.manifest(front.host, REPOSITORY, 'app', ACCEPT, { known });
  await t.rejects(ask(), { code: 'REMOTE', facts: { attempts: 1 } });
  await t.rejects(ask(), {
    code: 'REMOTE',
    message: `app: ${front.host} refuses connections: check that it runs, and its port (0 attempts`,
    facts: { host: front.host, attempts: 0 },
  });
});

await test('a mirror without an address: the registry is asked', async (t) => {
  const { front } = await startFront(t);
  const { client, host, asked } = namedClient(t, front, ['ENOTFOUND'], ['http://mirror.test']);
  t.ok(await client.manifest(host, REPOSITORY, 'app', ACCEPT));
  t.same(asked, ['mirror.test', 'registry.test']);
});

await test('a name server that does not answer is asked again', async (t) => {
  const { front } = await startFront(t);
  const { client, host, asked } = namedClient(t, front, ['EAI_AGAIN', 'EAI_AGAIN']);
  t.ok(await client.manifest(host, REPOSITORY, 'app', ACCEPT));
  t.equal(asked.length, 3);
});

await test('a read of an open image waits for a name, too', async (t) => {
  const { front } = await startFront(t);
  const { range, host, asked } = namedClient(t, front, ['ENOTFOUND', 'ENOTFOUND']);
  t.ok((await range(0, 99, { host })).equals(BLOB.subarray(0, 100)));
  t.equal(asked.length, 3);
});

await test('bytes with another digest are asked for once more', async (t) => {
  const { front } = await startFront(t);
  const { client } = clientOf(t, front);
  const text = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';
  const wrong = { match: { kind: 'manifest' }, action: { do: 'raw', text } } as const;
  const once = front.rule({ ...wrong, times: 1 });
  const asked = [front.host, REPOSITORY, image.top.digest, ACCEPT] as const;
  t.equal((await client.manifest(...asked)).digest, image.top.digest);
  t.equal(once.hits, 1);
  const always = front.rule(wrong);
  await t.rejects(client.manifest(...asked), {
    code: 'REMOTE',
    message: /sends a manifest with another digest, sha256:44136fa3/,
  });
  t.equal(always.hits, 2);
});

await test('a manifest that is missing is asked for once', async (t) => {
  const { front } = await startFront(t);
  const { client } = clientOf(t, front);
  await t.rejects(client.manifest(front.host, REPOSITORY, 'none', ACCEPT), { code: 'NOT_FOUND' });
  t.equal(front.log.requests.length, 1);
});

await test('a manifest of 4 MiB is read, and nothing longer', async (t) => {
  const { front } = await startFront(t);
  let length = 4_194_304;
  // Without a Content-Length, so that the bytes are counted.
  const host = await startServer(
    t,
    (_, response) => void response.write('{}'.padEnd(length), () => response.end()),
  );
  const { client } = clientOf(t, front, { plainHttp: [host] });
  const { bytes } = await client.manifest(host, 'a', 'b', ACCEPT);
  t.equal(bytes.length, length);
  length++;
  await t.rejects(client.manifest(host, 'a', 'b', ACCEPT), {
    code: 'LIMIT',
    message: /of more than 4194304 bytes/,
  });
});

await test('three redirects are followed', async (t) => {
  const { front } = await startFront(t);
  const host = await startServer(t, ({ url }, response) => {
    const [, hops] = /(\d+)$/.exec(url ?? '') ?? [];
    if (hops === '0') response.end('{}');
    else response.writeHead(302, { location: `${Number(hops) - 1}` }).end();
  });
  const { client } = clientOf(t, front, { plainHttp: [host] });
  t.ok(await client.manifest(host, 'a', '3', ACCEPT));
  await t.rejects(client.manifest(host, 'a', '4', ACCEPT), {
    message: /redirects more than 3 times/,
  });
});
