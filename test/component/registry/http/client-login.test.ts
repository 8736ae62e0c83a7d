// Logins: tokens that expire, stale credentials, identity tokens, helpers, services.
import { monotonicMs } from '../../../../daemon/lib/clock.js';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { test, type Test } from 'tap';
import { shortFolder } from '../../../support/daemon-process.js';
import type { AuthOptions } from '../../../support/registry/token-office.js';
import { until } from '../../../support/until.js';
import type { FaultFront } from '../../../support/registry/fault-front.js';
import { BLOB, REPOSITORY, startFront } from '../../../unit/support/registry/front-client.js';
import { clientOf } from '../../../unit/registry/http/client-front.js';
import { startServer } from '../../../unit/registry/http/small-server.js';

const LAST = 99_999;
const RIGHT = BLOB.subarray(0, LAST + 1);
const USERS = { me: 'se:cret' };
const SECRETS = /se:cret|c2U6Y3JldA|bWU6|identity-1/;

const auth = (pair: string): object => ({ auth: Buffer.from(pair).toString('base64') });

function configOf(t: Test, front: FaultFront, login: object): string {
  const auths = { [front.host]: login };
  return join(t.testdir({ 'config.json': JSON.stringify({ auths }) }), 'config.json');
}

const tokenRequests = (front: FaultFront, method?: string): number =>
  front.log.requests.filter(
    (each) => each.kind === 'token' && (method === undefined || each.method === method),
  ).length;

await test('anonymous tokens, one exchange for all requests', async (t) => {
  const { front } = await startFront(t, { auth: { scheme: 'bearer', anonymous: true } });
  const { range, counters } = clientOf(t, front);
  const all = await Promise.all(Array.from({ length: 12 }, () => range(0, LAST)));
  t.ok(all.every((each) => each.equals(RIGHT)));
  t.equal(tokenRequests(front), 1);
  t.same(counters.tokens, { anonymous: 1 });
});

await test('a token that is dead is exchanged once for all', async (t) => {
  const { front } = await startFront(t, { auth: { scheme: 'bearer', anonymous: true } });
  const { range } = clientOf(t, front);
  await range(0, 9);
  front.tokens?.expireAll();
  const all = await Promise.all(Array.from({ length: 12 }, () => range(0, LAST)));
  t.ok(all.every((each) => each.equals(RIGHT)));
  t.equal(tokenRequests(front), 2);
});

for (const [expiresIn, usable] of [
  [100, 80_000],
  [null, 48_000],
] as const) {
  await test(`expires_in ${expiresIn}: used for 80 % of it, by our clock`, async (t) => {
    const options: AuthOptions = { scheme: 'bearer', anonymous: true, expiresIn, skew: 7200 };
    const { front } = await startFront(t, { auth: options });
    let ahead = 0;
    const now = (): number => monotonicMs() + ahead;
    const { client } = clientOf(t, front, {}, { now });
    const ask = (): Promise<unknown> =>
      client.manifest(front.host, REPOSITORY, 'app', [
        'application/vnd.oci.image.manifest.v1+json',
      ]);
    await ask();
    ahead = usable - 20_000;
    await ask();
    t.equal(tokenRequests(front), 1);
    ahead = usable;
    await ask();
    t.equal(tokenRequests(front), 2);
    t.equal(
      front.log.requests.filter(({ status }) => status === 401).length,
      1,
      'before it is refused',
    );
  });
}

for (const scheme of ['basic', 'bearer'] as const) {
  for (const refusal of [401, 403] as const) {
    await test(`${scheme}, ${refusal}: a wrong password is an AUTH error without the password`, async (t) => {
      const { front } = await startFront(t, { auth: { scheme, refusal, users: { me: 'other' } } });
      const dockerConfig = configOf(t, front, auth('me:se:cret'));
      const { range, lines } = clientOf(t, front, { dockerConfig });
      const error = await range(0, LAST).catch((thrown: unknown) => thrown as Error);
      t.match(error, { code: 'AUTH', facts: { attempts: 1 } });
      t.notMatch((error as Error).message + lines.join(), SECRETS);
      t.ok(front.log.requests.length < 10);
    });

    await test(`${scheme}, ${refusal}: a password that is renewed in the file is used`, async (t) => {
      const { front } = await startFront(t, { auth: { scheme, refusal, users: USERS } });
      const dockerConfig = configOf(t, front, auth('me:old'));
      const { range } = clientOf(t, front, { dockerConfig });
      await t.rejects(range(0, LAST), { code: 'AUTH' });
      writeFileSync(dockerConfig, JSON.stringify({ auths: { [front.host]: auth('me:se:cret') } }));
      t.ok((await range(0, LAST)).equals(RIGHT));
    });
  }
}

for (const scheme of ['basic', 'bearer'] as const) {
  await test(`${scheme}: a message says where logins were looked for, and what to do`, async (t) => {
    const { front } = await startFront(t, { auth: { scheme, users: { me: 'other' } } });
    const folder = t.testdir({
      'config.json': JSON.stringify({ credHelpers: { [front.host]: 'none' } }),
      'cred.json': JSON.stringify({ auths: {} }),
    });
    const [dockerConfig, credentialFile] = [join(folder, 'config.json'), join(folder, 'cred.json')];
    const credentialService = {
      mode: 'uds',
      address: join(folder, 'service'),
      timeout: 1,
      certificate: null,
      key: null,
      ca: null,
    } as const;
    const messageOf = (settings: object): Promise<string> =>
      clientOf(t, front, settings)
        .range(0, LAST)
        .then(
          () => 'no error',
          (error: unknown) => (error as Error).message,
        );
    const login = `run "docker login ${front.host}", or name a docker config.json with --registry-config FILE`;
    const looked = [
      `${dockerConfig} (docker-credential-none)`,
      credentialFile,
      `the credential service ${credentialService.address}`,
      '/proc/nonexistent/.docker/config.json (no such file)',
      '/proc/nonexistent/.config/containers/auth.json (no such file)',
    ];
    const none = await messageOf({ dockerConfig, credentialFile, credentialService });
    t.ok(none.includes(`no login for ${front.host} in ${looked.join(', ')}; ${login}`), none);
    t.match(none, /some registries answer so if there is no such image/);
    const file = configOf(t, front, auth('me:se:cret'));
    const refused = await messageOf({ dockerConfig: file });
    const whose = `the login for ${front.host} comes from ${file}: it may have expired`;
    t.ok(refused.includes(whose) && refused.includes(login), refused);
  });
}

await test('a refused login does not keep public images away', async (t) => {
  const options: AuthOptions = { scheme: 'bearer', anonymous: true, users: USERS };
  const { front } = await startFront(t, { auth: options });
  const dockerConfig = configOf(t, front, auth('me:stale'));
  const { range, lines } = clientOf(t, front, { dockerConfig });
  t.ok((await range(0, LAST)).equals(RIGHT));
  t.match(lines.join(), /refuses the login for .+; going on without/);
  t.notMatch(lines.join(), /stale/);
});

for (const methods of [['GET'], ['POST'], ['GET', 'POST']] as const) {
  await test(`a password, with a service that knows ${methods.join(' and ')}`, async (t) => {
    const { front } = await startFront(t, { auth: { scheme: 'bearer', users: USERS, methods } });
    const dockerConfig = configOf(t, front, auth('me:se:cret'));
    t.ok((await clientOf(t, front, { dockerConfig }).range(0, LAST)).equals(RIGHT));
    t.equal(tokenRequests(front, 'POST'), methods[0] === 'POST' ? 1 : 0);
  });
}

for (const field of ['token', 'access_token'] as const) {
  await test(`an identity token; the answer has ${field}`, async (t) => {
    const options: AuthOptions = { scheme: 'bearer', identityToken: 'identity-1', field };
    const { front } = await startFront(t, { auth: options });
    const dockerConfig = configOf(t, front, { identitytoken: 'identity-1' });
    t.ok((await clientOf(t, front, { dockerConfig }).range(0, LAST)).equals(RIGHT));
    t.equal(tokenRequests(front, 'POST'), 1);
    t.equal(tokenRequests(front, 'GET'), 0);
  });
}

for (const [name, action, message] of [
  ['a page', { do: 'status', status: 200, body: 'html' }, /gives no token/],
  ['a redirect', { do: 'redirect', to: 'http://127.0.0.1:1/' }, /answers 307 instead of a token/],
  ['an error for ever', { do: 'status', status: 503 }, /answers 503/],
] as const) {
  await test(`the token service answers with ${name}`, async (t) => {
    const { front } = await startFront(t, { auth: { scheme: 'bearer', anonymous: true } });
    const rule = front.rule({ match: { kind: 'token' }, action });
    const { range } = clientOf(t, front);
    await t.rejects(range(0, LAST, { deadlineMs: 5000 }), { message });
    rule.release();
    front.rules.clear();
    t.ok((await range(0, LAST)).equals(RIGHT), 'and right afterwards');
  });
}

await test('errors of the token service are tried again', async (t) => {
  const { front } = await startFront(t, { auth: { scheme: 'bearer', anonymous: true } });
  front.rule({ match: { kind: 'token' }, action: { do: 'status', status: 503 }, times: 2 });
  front.rule({ match: { kind: 'token' }, action: { do: 'reset' }, times: 1 });
  t.ok((await clientOf(t, front).range(0, LAST)).equals(RIGHT));
});

function helper(t: Test, script: string): NodeJS.ProcessEnv {
  const folder = t.testdir({
    'docker-credential-test': `#!/bin/sh\n${script}\n`,
    'config.json': JSON.stringify({ credsStore: 'test' }),
  });
  chmodSync(join(folder, 'docker-credential-test'), 0o755);
  return {
    PATH: `${folder}:${process.env['PATH']}`,
    DOCKER_CONFIG: folder,
    HOME: folder,
    FOLDER: folder,
  };
}

for (const [scheme, username, secret] of [
  ['basic', 'me', 'se:cret'],
  ['bearer', '<token>', 'identity-1'],
] as const) {
  await test(`a credential helper, ${scheme}`, async (t) => {
    const options: AuthOptions = { scheme, users: USERS, identityToken: 'identity-1' };
    const { front } = await startFront(t, { auth: options });
    const answer = JSON.stringify({ ServerURL: front.host, Username: username, Secret: secret });
    const env = helper(
      t,
      `[ "$1" = get ] && read server && [ "$server" = ${front.host} ] && echo '${answer}'`,
    );
    const { range, client } = clientOf(t, front, {}, { env });
    client.prepare(front.host, REPOSITORY);
    t.ok((await range(0, LAST)).equals(RIGHT));
  });
}

for (const [name, script, message] of [
  ['has none', 'echo credentials not found in native keychain; exit 1', null],
  ['fails', 'echo se:cret; exit 3', /ends with code 3/],
  ['hangs', 'exec sleep 60', /gives no answer within 0.2 s/],
  ['prints no JSON', 'echo se:cret', /does not answer in JSON/],
  ['prints too much', 'yes se:cret', /prints too much/],
] as const) {
  await test(`a credential helper that ${name}: on without a login`, async (t) => {
    const { front } = await startFront(t, { auth: { scheme: 'bearer', anonymous: true } });
    const limits = name === 'hangs' ? { helperMs: 200 } : {};
    const { range, lines } = clientOf(t, front, {}, { env: helper(t, script), limits });
    t.ok((await range(0, LAST)).equals(RIGHT));
    if (message) t.match(lines.join('\n'), message);
    else t.same(lines, []);
    t.notMatch(lines.join('\n'), SECRETS);
  });
}

await test('with a policy that forbids the network no login is looked for ahead', async (t) => {
  const { front } = await startFront(t);
  const env = helper(t, 'touch $FOLDER/asked-$POLICY; exit 1');
  for (const pull of ['never', 'newer'] as const) {
    clientOf(t, front, { pull }, { env: { ...env, POLICY: pull } }).client.prepare(
      front.host,
      REPOSITORY,
    );
  }
  const asked = (pull: string): boolean => existsSync(join(String(env['FOLDER']), `asked-${pull}`));
  await until(() => asked('newer'));
  t.notOk(asked('never'));
});

await test('a helper that gives another password later', async (t) => {
  const { front } = await startFront(t, { auth: { scheme: 'basic', users: USERS } });
  const script =
    'if [ -e $FOLDER/asked ]; then p=se:cret; else p=old; touch $FOLDER/asked; fi;' +
    `echo "{\\"Username\\":\\"me\\",\\"Secret\\":\\"$p\\"}"`;
  const { range } = clientOf(t, front, {}, { env: helper(t, script) });
  t.ok((await range(0, LAST)).equals(RIGHT));
});

await test('upstream: cred.json, and its service', async (t) => {
  const { front } = await startFront(t, { auth: { scheme: 'basic', users: USERS } });
  const logins = { auths: { other: auth('x:y'), [`${front.host}/test`]: auth('me:se:cret') } };
  const folder = t.testdir({ 'cred.json': JSON.stringify(logins) });
  const credentialFile = join(folder, 'cred.json');
  t.ok((await clientOf(t, front, { credentialFile }).range(0, LAST)).equals(RIGHT));
  const asked: string[] = [];
  const service = createServer((request, response) => {
    asked.push(request.url ?? '');
    response.end(JSON.stringify({ traceId: '1', success: true, data: logins }));
  });
  const socket = join(shortFolder(t), 'socket');
  for (const mode of ['uds', 'http'] as const) {
    service.listen(mode === 'uds' ? socket : 0);
    await once(service, 'listening');
    const port = (service.address() as AddressInfo).port;
    const address = mode === 'uds' ? socket : `http://127.0.0.1:${port}/where?a=b`;
    const none = { certificate: null, key: null, ca: null };
    const credentialService = { mode, address, timeout: 30, ...none };
    t.ok((await clientOf(t, front, { credentialService }).range(0, LAST)).equals(RIGHT), mode);
    service.close();
    service.closeAllConnections();
    await once(service, 'close');
  }
  const remote = `remote_url=https://${front.host}/v2/${REPOSITORY}/blobs`;
  t.ok(asked.includes(`/auth?${remote}`));
  t.ok(asked.includes(`/where?a=b&${remote}`));
});

await test('a token service may answer with 256 KiB, and no more', async (t) => {
  const { front } = await startFront(t);
  let length = 262_144;
  const realm = await startServer(
    t,
    (_, response) => void response.end('{"token":"t"}'.padEnd(length)),
  );
  const host = await startServer(t, ({ headers }, response) => {
    if (headers.authorization === 'Bearer t') response.end('{}');
    else response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${realm}/"` }).end();
  });
  const settings = { plainHttp: [host] };
  t.ok(await clientOf(t, front, settings).client.manifest(host, 'a', 'b', []));
  length++;
  const { client } = clientOf(t, front, settings);
  await t.rejects(client.manifest(host, 'a', 'b', []), {
    message: /sends the token of more than 262144 bytes/,
  });
});

for (const [length, isTaken] of [
  [65_536, true],
  [65_537, false],
] as const) {
  await test(`a credential helper that prints ${length} bytes`, async (t) => {
    const { front } = await startFront(t, { auth: { scheme: 'basic', users: USERS } });
    const answer = JSON.stringify({ Username: 'me', Secret: 'se:cret' }).padEnd(length - 1);
    const env = helper(t, 'cat "$FOLDER/answer"');
    writeFileSync(join(env['FOLDER'] ?? '', 'answer'), `${answer}\n`);
    const { range, lines } = clientOf(t, front, {}, { env });
    if (isTaken) t.ok((await range(0, LAST)).equals(RIGHT));
    else await t.rejects(range(0, LAST), { code: 'AUTH' });
    t.equal(/prints too much/.test(lines.join()), !isTaken);
  });
}
