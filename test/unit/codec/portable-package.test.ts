// Optional npm packages that decode: the error if one is not installed.
import t from 'tap';
import { hasPackage, loadPackage } from '../../../daemon/codec/portable-package.js';
import { OverlaybdError } from '../../../daemon/errors.js';

const load = (): unknown => loadPackage('no-such-package/binding.js', 'libzip (Debian: libzip4)');

await t.test('an installed package is loaded', (test) => {
  test.ok(hasPackage('lz4-napi'));
  test.type(
    (loadPackage('lz4-napi', 'liblz4') as { uncompressSync: unknown }).uncompressSync,
    'function',
  );
  test.end();
});

await t.test('a package that is not installed: the error names it', (test) => {
  test.notOk(hasPackage('no-such-package'));
  test.throws(load, OverlaybdError);
  test.throws(load, {
    code: 'UNSUPPORTED',
    message:
      /^no decoder: neither libzip \(Debian: libzip4\) nor the npm package no-such-package can be loaded: Cannot find module [^\n]*$/,
  });
  test.end();
});
