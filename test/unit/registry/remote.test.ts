// What stands in for the fetcher in programs that open files only.
import { test } from 'tap';
import { NO_REMOTE, noImages } from '../../../daemon/registry/remote.js';

await test('without a fetcher, images of registries do not open, and nothing is connected', (t) => {
  const refused = { code: 'UNSUPPORTED', message: /opens no images of registries$/ };
  t.throws(() => NO_REMOTE.images(), refused);
  t.throws(noImages, refused);
  t.equal(NO_REMOTE.connect(), null);
  t.end();
});
