// Listen addresses: which are accepted, which are refused, and the URI for clients.
import { test } from 'tap';
import {
  DEFAULT_LISTEN,
  addressText,
  nbdUri,
  parseListenAddress,
} from '../../../daemon/config/listen-address.js';

const tcp = (host: string, port: number) => ({ kind: 'tcp', host, port }) as const;
const unix = (path: string) => ({ kind: 'unix', path }) as const;
const vsock = (cid: number | null, port: number) => ({ kind: 'vsock', cid, port }) as const;
const fd = (name: string) => ({ kind: 'fd', name }) as const;

await test('valid addresses are parsed', (t) => {
  const good: [string, object][] = [
    [DEFAULT_LISTEN, tcp('127.0.0.1', 10_809)],
    ['tcp://127.0.0.1', tcp('127.0.0.1', 10_809)],
    ['tcp://127.0.0.1/', tcp('127.0.0.1', 10_809)],
    ['tcp://0.0.0.0:1', tcp('0.0.0.0', 1)],
    ['tcp://localhost:65535', tcp('localhost', 65_535)],
    ['tcp://nbd.example:0', tcp('nbd.example', 0)],
    ['tcp://[::1]:10810', tcp('::1', 10_810)],
    ['tcp://[::]', tcp('::', 10_809)],
    ['tcp://[fe80::1%eth0]:1', tcp('fe80::1%eth0', 1)],
    ['vsock://:10809', vsock(null, 10_809)],
    ['vsock://', vsock(null, 10_809)],
    ['vsock://1', vsock(1, 10_809)],
    ['vsock://3:0/', vsock(3, 0)],
    ['vsock://4294967294:4294967294', vsock(0xfffffffe, 0xfffffffe)],
    ['fd://web', fd('web')],
    ['fd://a.b-c_d/e', fd('a.b-c_d/e')],
    ['unix:///run/nbd.sock', unix('/run/nbd.sock')],
    ['unix:///with space/and%25', unix('/with space/and%25')],
  ];
  for (const [text, address] of good) t.same(parseListenAddress(text), address, text);
  t.end();
});

await test('an invalid address is quoted in the error', (t) => {
  const bad: [string, RegExp][] = [
    ['', /"" is not one of tcp:\/\/HOST:PORT, unix:\/\/\/PATH, vsock:\/\/CID:PORT, fd:\/\/NAME$/],
    ['127.0.0.1:10809', /is not one of/],
    ['tcp://', /is not one of/],
    ['tcp://:10809', /is not one of/],
    ['tcp://host:', /is not one of/],
    ['tcp://host:port', /is not one of/],
    ['tcp://host:-1', /is not one of/],
    ['tcp://host:1/path', /is not one of/],
    ['tcp://::1:10809', /is not one of/],
    ['tcp://[::1', /is not one of/],
    ['tcp://[]:1', /is not one of/],
    ['nbd://host', /is not one of/],
    ['TCP://host', /is not one of/],
    ['tcp://host:65536', /has a port above 65535$/],
    ['tcp://host:99999', /has a port above 65535$/],
    ['tcp://host:100000', /is not one of/],
    ['tcp://[localhost]:1', /has no IPv6 address in brackets$/],
    ['tcp://[127.0.0.1]:1', /has no IPv6 address in brackets$/],
    ['unix://', /has no path$/],
    ['unix:///a\0b', /has no path$/],
    ['unix://relative', /has a path that is not absolute: unix:\/\/\/PATH$/],
    ['unix://run/nbd.sock', /not absolute/],
    ['unix://@abstract', /not absolute/],
    ['unix://./x', /not absolute/],
    ['unix:/run/x', /is not one of/],
    ['vsock:', /is not one of/],
    ['vsock://host:1', /is neither vsock:\/\/:PORT nor vsock:\/\/CID:PORT$/],
    ['vsock://1:2:3', /is neither vsock/],
    ['vsock://-1:1', /is neither vsock/],
    ['vsock://1:', /is neither vsock/],
    ['vsock://:1/x', /is neither vsock/],
    ['vsock://0x3:1', /is neither vsock/],
    ['vsock://4294967295:1', /has a CID above 4294967294$/],
    ['vsock://1:4294967295', /has a port above 4294967294$/],
    ['fd://', /has no name of a socket$/],
    ['fd://a:b', /has no name of a socket$/],
    ['fd://a b', /has no name of a socket$/],
    [`fd://${'x'.repeat(256)}`, /has no name of a socket$/],
  ];
  for (const [text, message] of bad) {
    t.throws(() => parseListenAddress(text), { code: 'BAD_CONFIG', message }, text);
  }
  t.end();
});

await test('each address has a URI for clients', (t) => {
  t.equal(nbdUri(tcp('127.0.0.1', 10_809)), 'nbd://127.0.0.1');
  t.equal(nbdUri(tcp('127.0.0.1', 1)), 'nbd://127.0.0.1:1');
  t.equal(nbdUri(tcp('::1', 10_809)), 'nbd://[::1]');
  t.equal(nbdUri(tcp('::1', 2)), 'nbd://[::1]:2');
  t.equal(nbdUri(tcp('fe80::1%eth0', 2)), 'nbd://[fe80::1%25eth0]:2');
  t.equal(nbdUri(vsock(3, 10_809)), 'nbd+vsock://3');
  t.equal(nbdUri(vsock(3, 4)), 'nbd+vsock://3:4');
  t.equal(nbdUri(vsock(null, 10_809)), 'vsock://:10809', 'no URI, because clients know the CID');
  t.equal(nbdUri(unix('@abstract')), 'unix://@abstract', 'no URI for abstract sockets');
  t.equal(nbdUri(fd('web')), 'fd://web');
  t.equal(nbdUri(unix('/run/nbd.sock')), 'nbd+unix:///?socket=/run/nbd.sock');
  t.end();
});

await test('the text of an address is parsed as the same address', (t) => {
  for (const address of [
    tcp('127.0.0.1', 10_809),
    tcp('fe80::1%eth0', 2),
    vsock(null, 3),
    vsock(3, 4),
    unix('/run/a b.sock'),
    fd('web'),
  ]) {
    t.same(parseListenAddress(addressText(address)), address, addressText(address));
  }
  t.end();
});

await test('the URI of any path means the path that was listened on', (t) => {
  for (const path of ['/run/a&b=c.sock', '/run/100%.sock', '/run/a b#c?d+e.sock', '/run/ü.sock']) {
    const uri = nbdUri(unix(path));
    t.match(uri, /^nbd\+unix:\/\/\/\?socket=\/run\/[\w%.-]+$/);
    t.equal(decodeURIComponent(uri.slice('nbd+unix:///?socket='.length)), path);
  }
  t.end();
});
