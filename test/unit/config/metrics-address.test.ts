// Addresses of metrics: what is accepted, and how they are written in the log.
import { test } from 'tap';
import { metricsAddressText, parseMetricsAddress } from '../../../daemon/config/metrics-address.js';

await test('HOST:PORT, :PORT and unix:///PATH', (t) => {
  const texts: [string, object, string][] = [
    ['0.0.0.0:9100', { host: '0.0.0.0', port: 9100 }, 'http://0.0.0.0:9100/metrics'],
    ['tcp://host.example:1', { host: 'host.example', port: 1 }, 'http://host.example:1/metrics'],
    ['[::1]:9100', { host: '::1', port: 9100 }, 'http://[::1]:9100/metrics'],
    [':9100', { host: '127.0.0.1', port: 9100 }, 'http://127.0.0.1:9100/metrics'],
    ['unix:///run/m.sock', { path: '/run/m.sock' }, 'unix:///run/m.sock'],
  ];
  for (const [text, address, written] of texts) {
    const parsed = parseMetricsAddress(text);
    t.same(parsed, address, text);
    t.equal(metricsAddressText(parsed), written);
  }
  t.end();
});

await test('what is not an address is refused', (t) => {
  for (const text of [
    '',
    '9100',
    'host',
    'host:',
    'host:65536',
    '::1:9100',
    'unix://m.sock',
    'http://a:1',
  ]) {
    const message = `metricsListen: expected HOST:PORT or unix:///PATH, got ${JSON.stringify(text)}`;
    t.throws(() => parseMetricsAddress(text), { code: 'BAD_CONFIG', message });
  }
  t.end();
});
