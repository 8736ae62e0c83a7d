// Which proxy leads to a URL.
import { test } from 'tap';
import { proxyFor, proxySettings } from '../../../../daemon/registry/http/proxy.js';

const PROXY = 'http://proxy.example:3128';

function isProxied(url: string, except: string, env: NodeJS.ProcessEnv = {}): boolean {
  const settings = proxySettings({
    HTTPS_PROXY: PROXY,
    HTTP_PROXY: PROXY,
    NO_PROXY: except,
    ...env,
  });
  return proxyFor(new URL(url), settings) !== null;
}

const of = (env: NodeJS.ProcessEnv, url: string): string | null =>
  proxyFor(new URL(url), proxySettings(env));

await test('the variables', (t) => {
  t.equal(of({}, 'https://a.example'), null);
  t.equal(of({ HTTPS_PROXY: 'p:1' }, 'https://a.example'), 'http://p:1');
  t.equal(of({ HTTPS_PROXY: 'p:1' }, 'http://a.example'), null);
  t.equal(of({ HTTP_PROXY: 'p:1', HTTPS_PROXY: 'p:2' }, 'http://a.example'), 'http://p:1');
  t.equal(of({ https_proxy: 'p:3', HTTPS_PROXY: 'p:2' }, 'https://a.example'), 'http://p:3');
  t.equal(
    of({ HTTPS_PROXY: 'http://p:2', no_proxy: 'a.example', NO_PROXY: '' }, 'https://a.example'),
    null,
  );
  t.end();
});

await test('NO_PROXY: names, ports, networks', (t) => {
  for (const [url, except, expected] of [
    ['https://a.example', '', true],
    ['https://a.example', '*', false],
    ['https://a.example', 'example', false],
    ['https://a.example', '.example', false],
    ['https://example', '.example', true],
    ['https://example', '*.example', true],
    ['https://b.a.example', 'x, a.example', false],
    ['https://ba.example', 'a.example', true],
    ['https://A.example.', 'a.EXAMPLE', false],
    ['https://a.example:5000', 'a.example:5000', false],
    ['https://a.example', 'a.example:5000', true],
    ['https://a.example', 'a.example:443', false],
    ['http://a.example', 'a.example:80 b.example', false],
    ['https://10.1.2.3', '10.0.0.0/8', false],
    ['https://11.1.2.3', '10.0.0.0/8', true],
    ['https://10.1.2.3', '10.1.2.3', false],
    ['https://110.1.2.3', '10.1.2.3', true],
    ['https://[fd00::5]:5000', 'fd00::/8', false],
    ['https://[fd00::5]:5000', '[fd00::5]:5000', false],
    ['https://[fd00::5]:5000', 'fd00::5', false],
    ['https://a.example', '10.0.0.0/99, 10.0.0.0/x, nonsense/8, ., ,', true],
  ] as const) {
    t.equal(isProxied(url, except), expected, `${url} except ${except}`);
  }
  t.end();
});

await test('this machine is asked itself, unless the proxy is here, too', (t) => {
  for (const host of ['localhost', '127.0.0.2', '[::1]']) {
    t.equal(isProxied(`http://${host}:5000`, ''), false, host);
    t.equal(isProxied(`http://${host}:5000`, '', { HTTP_PROXY: 'http://127.0.0.1:1' }), true, host);
  }
  t.end();
});
