// Methods and paths of the control API: which operation each of them is, with fake operations. Over a socket:
// client.test.ts.
import { test } from 'tap';
import { answer, type ControlHandlers } from '../../../daemon/control/routes.js';

/** Answers with its name and arguments. */
const echo = new Proxy({} as ControlHandlers, {
  get:
    (_, name) =>
    async (...args: unknown[]) => [name, ...args],
});
const ask = (method: string, url: string, body = '') => answer({ method, url, body }, echo);

await test('every method and path is one operation', async (t) => {
  t.same(await ask('GET', '/v1/status'), ['status']);
  t.same(await ask('GET', '/v1/status?a=b'), ['status'], 'a query that nothing needs');
  const image = { image: ['/a'] };
  const body = JSON.stringify(image);
  t.same(await ask('POST', '/v1/devices', body), ['attach', image]);
  const flags = { force: true, onClose: false };
  t.same(await ask('DELETE', '/v1/devices/nbd3?force=1&onClose=0'), ['detach', 'nbd3', flags]);
  t.same(await ask('POST', '/v1/reload'), ['reload']);
  t.same(await ask('POST', '/v1/upgrade'), { pid: ['upgrade'] });
  t.same(await ask('GET', '/v1/exports'), ['exports']);
  for (const [path, name] of [
    ['', ''],
    ['web', 'web'],
    ['a%2Fb%3Fc', 'a/b?c'],
    ['%1B%5B2J%0A', '\u001b[2J\n'],
    ['__proto__', '__proto__'],
  ] as const) {
    t.same(await ask('GET', `/v1/exports/${path}`), ['export', name]);
    t.same(await ask('PUT', `/v1/exports/${path}`, body), ['addExport', name, image]);
    t.same(await ask('DELETE', `/v1/exports/${path}`), ['removeExport', name]);
  }
  t.same(await ask('GET', '/v1/cache'), ['cache']);
  t.same(await ask('POST', '/v1/cache/gc'), ['collectCache']);
  t.same(await ask('POST', '/v1/cache/verify'), ['verifyCache']);
  t.same(await ask('DELETE', '/v1/cache/sha256:ab'), ['removeFromCache', 'sha256:ab']);
  t.same(await ask('GET', '/v1/hosts'), ['hosts']);
  const warm = { image: 'docker://a.example/b' };
  t.same(await ask('POST', '/v1/warm', JSON.stringify(warm)), ['warm', warm]);
  t.same(await ask('GET', '/v1/warm'), ['warmJobs']);
  t.same(await ask('GET', '/v1/warm/7'), ['warmJob', '7']);
  t.same(await ask('DELETE', '/v1/warm/7'), ['cancelWarm', '7']);
  t.same(await ask('GET', '/v1/trace'), ['trace']);
  t.same(await ask('POST', '/v1/trace'), ['startTrace', {}]);
  t.same(await ask('POST', '/v1/trace', '{"exports":["a"]}'), ['startTrace', { exports: ['a'] }]);
  t.same(await ask('DELETE', '/v1/trace'), ['stopTrace']);
});

await test('anything else is refused', async (t) => {
  for (const [method, url] of [
    ['PUT', '/v1/status'],
    ['get', '/v1/status'],
    ['GET', '/v1/status/'],
    ['GET', '/v1/devices'],
    ['DELETE', '/v1/devices/'],
    ['DELETE', '/v1/exports'],
    ['POST', '/v1/exports/web'],
    ['GET', '/v1/exports/a/b'],
    ['GET', ''],
    ['PUT', '/v1/cache'],
    ['GET', '/v1/cache/gc'],
    ['POST', '/v1/cache/rm'],
    ['POST', '/v1/hosts'],
    ['PUT', '/v1/warm'],
    ['GET', '/v1/warm/'],
    ['PUT', '/v1/trace'],
    ['GET', '/v1/trace/web'],
    ['GET', '/v1/statusx'],
  ] as const) {
    await t.rejects(ask(method, url), { code: 'NOT_FOUND' }, `${method} ${url}`);
  }
  for (const [body, message] of [
    ['', /^export: not JSON/],
    ['[]', /^export: /],
    ['{}', /^export: the key "image" is missing/],
    ['{"image":"/a"}', /^export: image/],
    ['{"image":["a"]}', /^export: image\.0: /],
    ['{"image":[]}', /^export: image/],
    ['{"image":["/a"],"partition":0}', /^export: partition: /],
    ['{"image":["/a"],"more":1}', /^export: unknown key "more"/],
  ] as const) {
    await t.rejects(ask('PUT', '/v1/exports/web', body), { code: 'BAD_ARGUMENT', message }, body);
  }
  const wrong = ['', '{}', '[]', '{"image":"/a"}', '{"image":"docker://"}', '{"image":7}'];
  for (const body of [...wrong, `{"image":"docker://${'x'.repeat(1001)}"}`]) {
    const message = /^warm: /;
    await t.rejects(ask('POST', '/v1/warm', body), { code: 'BAD_ARGUMENT', message }, body);
  }
  for (const body of ['7', '[]', '{"exports":[]}', '{"exports":"a"}', '{"export":["a"]}']) {
    const message = /^trace: /;
    await t.rejects(ask('POST', '/v1/trace', body), { code: 'BAD_ARGUMENT', message }, body);
  }
  const long = 'x'.repeat(4097);
  const tooLong = { code: 'BAD_ARGUMENT', message: /4097 bytes, at most 4096/ };
  await t.rejects(ask('PUT', `/v1/exports/${long}`, '{"image":["/a"]}'), tooLong);
  await t.rejects(ask('DELETE', '/v1/exports/%zz'), { code: 'BAD_ARGUMENT', message: /%zz/ });
});
