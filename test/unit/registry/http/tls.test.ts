// Files for TLS that cannot be used: what is said of them.
import { join } from 'node:path';
import { test } from 'tap';
import { TlsContexts } from '../../../../daemon/registry/http/tls.js';

await test('files that are not PEM are named, without the texts of OpenSSL', async (t) => {
  const folder = t.testdir({ certificate: 'nonsense', key: 'nonsense' });
  const [certificate, key] = [join(folder, 'certificate'), join(folder, 'key')];
  const contexts = new TlsContexts({ env: {}, now: () => 0, filesMs: 0 });
  const paths = { ca: [], client: [{ certificate, key }], isUnverified: false };
  await t.rejects(contexts.of(paths), {
    code: 'BAD_CONFIG',
    message: `TLS files ${certificate}: OpenSSL cannot use them (no start line): they must be PEM, and a key must have no password`,
  });
  await t.rejects(contexts.of({ ...paths, ca: [join(folder, 'none')] }), {
    code: 'BAD_CONFIG',
    message: /none: no such file/,
  });
});
