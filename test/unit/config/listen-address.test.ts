// Addresses to listen on: what is accepted, what is not, and the URI that clients get.
import { test } from 'tap';
import {
  DEFAULT_LISTEN,
  nbdUri,
  parseListenAddress,
} from '../../../daemon/config/listen-address.js';

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;
const unix = (path: string) => ({ kind: 'unix', path }) as const;

await test('addresses', (t) => {
  const good: [string, object][] = [
    [DEFAULT_LISTEN, tcp('127.0.0.1', 10_809)],
    ['tcp://127.0.0.1', tcp('127.0.0.1', 10_809)],
    ['tcp://127.0.0.1/', tcp('127.0.0.1', 10_809)],
    ['tcp://0.0.0.0:1', tcp('0.0.0.0', 1)],
    ['tcp://localhost:65535', tcp('localhost', 65_535)],
    ['tcp://nbd.example:0', tcp('nbd.example', 0)],
    ['tcp://[::1]:10810', tcp('::1', 10_810)],
    ['tcp://[::]', tcp('::', 10_809)],
    ['unix:///run/nbd.sock', unix('/run/nbd.sock')],
    ['unix:///with space/and%25', unix('/with space/and%25')],
  ];
  for (const [text, address] of good) t.same(parseListenAddress(text), address, text);
  t.end();
});

await test('what is no address is quoted in the error', (t) => {
  const bad: [string, RegExp][] = [
    ['', /"" is neither tcp:\/\/HOST:PORT nor unix:\/\/\/PATH$/],
    ['127.0.0.1:10809', /is neither/],
    ['tcp://', /is neither/],
    ['tcp://:10809', /is neither/],
    ['tcp://host:', /is neither/],
    ['tcp://host:port', /is neither/],
    ['tcp://host:-1', /is neither/],
    ['tcp://host:1/path', /is neither/],
    ['tcp://::1:10809', /is neither/],
    ['tcp://[::1', /is neither/],
    ['tcp://[]:1', /is neither/],
    ['nbd://host', /is neither/],
    ['TCP://host', /is neither/],
    ['tcp://host:65536', /has a port above 65535$/],
    ['tcp://host:99999', /has a port above 65535$/],
    ['tcp://host:100000', /is neither/],
    ['tcp://[localhost]:1', /has no IPv6 address in brackets$/],
    ['tcp://[127.0.0.1]:1', /has no IPv6 address in brackets$/],
    ['unix://', /has no path$/],
    ['unix:///a\0b', /has no path$/],
    ['unix:/run/x', /is neither/],
  ];
  for (const [text, message] of bad) {
    t.throws(() => parseListenAddress(text), { code: 'BAD_CONFIG', message }, text);
  }
  t.end();
});

await test('URIs for clients', (t) => {
  t.equal(nbdUri(tcp('127.0.0.1', 10_809)), 'nbd://127.0.0.1');
  t.equal(nbdUri(tcp('127.0.0.1', 1)), 'nbd://127.0.0.1:1');
  t.equal(nbdUri(tcp('::1', 10_809)), 'nbd://[::1]');
  t.equal(nbdUri(tcp('::1', 2)), 'nbd://[::1]:2');
  t.equal(nbdUri(unix('/run/nbd.sock')), 'nbd+unix:///?socket=/run/nbd.sock');
  t.end();
});

await test('a URI survives any path: what it means is what was listened on', (t) => {
  for (const path of ['/run/a&b=c.sock', '/run/100%.sock', '/run/a b#c?d+e.sock', '/run/ü.sock']) {
    const uri = nbdUri(unix(path));
    t.match(uri, /^nbd\+unix:\/\/\/\?socket=\/run\/[\w%.-]+$/);
    t.equal(decodeURIComponent(uri.slice('nbd+unix:///?socket='.length)), path);
  }
  t.end();
});
