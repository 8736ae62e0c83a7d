// The folders of registries below certs.d.
import { join } from 'node:path';
import { test } from 'tap';
import { CertsFolders } from '../../../../daemon/registry/http/certs-folder.js';

const seams = { now: () => 0, log: () => undefined, filesMs: 0 };

await test('names of folders, hosts.toml before certificates, the default last', async (t) => {
  const hosts = { 'hosts.toml': 'server = "https://one"' };
  const root = t.testdir({
    a_5000_: hosts,
    'a:5000': { 'ca.crt': '' },
    b: { 'ca.crt': '', 'c.cert': '', 'c.key': '', 'd.cert': '', note: '' },
    empty: {},
  });
  const folders = new CertsFolders([join(root, 'missing'), root], seams);
  t.equal((await folders.of(['a:5000'])).hosts?.server.url?.host, 'one');
  const { hosts: none, tls } = await folders.of(['b']);
  t.equal(none, null);
  t.same(tls.ca, [join(root, 'b/ca.crt')]);
  t.same(tls.client, [{ certificate: join(root, 'b/c.cert'), key: join(root, 'b/c.key') }]);
  t.same((await folders.of(['empty', 'x'])).tls.ca, []);
  t.same((await folders.of(['x', 'b'])).tls.ca.length, 1, 'the other name');
  const other = t.testdir({ _default: hosts });
  t.ok((await new CertsFolders([other], seams).of(['anything'])).hosts);
});
