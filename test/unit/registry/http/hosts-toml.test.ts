// containerd's hosts.toml.
import { test } from 'tap';
import { parseHostsToml } from '../../../../daemon/registry/http/hosts-toml.js';

await test('hosts in the order of the file, with all their keys', (t) => {
  const { mirrors, server } = parseHostsToml(
    `
    server = "https://registry.example"
    ca = "own.pem"
    [host."https://z.example/path"]
      capabilities = ["pull"]
      ca = ["/a.pem", "b.pem"]
      client = [["/c.cert", "/c.key"], ["d.pem"]]
      skip_verify = true
      override_path = true
      proxy = "http://p:1"
      dial_timeout = "5s"
      [host."https://z.example/path".header]
        X-One = "1"
        x-two = ["2", "3"]
        "bad name" = "x"
        x-bad = "a\\nb"
    [host."a.example:5000"]
      client = "both.pem"
    `,
    '/etc/x',
  );
  t.same(
    mirrors.map(({ url }) => url?.href),
    ['https://z.example/path', 'https://a.example:5000/'],
  );
  t.match(mirrors[0], {
    canPull: true,
    canResolve: false,
    ca: ['/a.pem', '/etc/x/b.pem'],
    client: [
      { certificate: '/c.cert', key: '/c.key' },
      { certificate: '/etc/x/d.pem', key: '/etc/x/d.pem' },
    ],
    skipVerify: true,
    overridePath: true,
    proxy: 'http://p:1',
  });
  t.same(mirrors[0]?.headers, { 'x-one': '1', 'x-two': '2, 3' });
  t.match(mirrors[1], {
    canPull: true,
    canResolve: true,
    skipVerify: false,
    client: [{ certificate: '/etc/x/both.pem' }],
  });
  t.match(server, { url: { host: 'registry.example' }, ca: ['/etc/x/own.pem'] });
  t.equal(parseHostsToml('', '/').server.url, null);
  t.end();
});

await test('what is wrong', (t) => {
  t.throws(() => parseHostsToml('server = "a"\nheader = secret', '/'), {
    name: 'TypeError',
    message: 'not TOML: invalid value at line 2, column 10; correct it there',
  });
  for (const text of ['server = ', 'server = "https://["', '[host."http://["]']) {
    t.throws(() => parseHostsToml(text, '/'), TypeError, text);
  }
  const many = Array.from({ length: 65 }, (_, i) => `[host."https://h${i}"]`).join('\n');
  t.throws(() => parseHostsToml(many, '/'), /more than 64 hosts/);
  t.same(parseHostsToml('host = 5\ncapabilities = 7\nheader = 1', '/').mirrors, []);
  t.end();
});
