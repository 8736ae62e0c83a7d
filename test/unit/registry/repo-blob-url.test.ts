// repoBlobUrl: the forms that snapshotters write, and wrong ones.
import * as fc from 'fast-check';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { parseRepoBlobUrl } from '../../../daemon/registry/repo-blob-url.js';
import { holds } from '../../support/holds.js';
import { usualOrLong } from '../../support/long-tests.js';
import { SEED } from '../../support/seed.js';

const parse = (url: string) => parseRepoBlobUrl(url, 'config.v1.json: repoBlobUrl');

await test('forms', (t) => {
  const forms: [string, string, string][] = [
    ['https://ghcr.io/v2/a/b/blobs', 'ghcr.io', 'a/b'],
    ['https://ghcr.io/v2/a/b/blobs/', 'ghcr.io', 'a/b'],
    ['http://localhost:5000/v2/app/blobs', 'localhost:5000', 'app'],
    [
      'https://registry-1.docker.io/v2/library/redis/blobs',
      'registry-1.docker.io',
      'library/redis',
    ],
    ['https://docker.io/v2/library/redis/blobs', 'registry-1.docker.io', 'library/redis'],
    [
      'registry.hub.docker.com/v2/overlaybd/redis/blobs',
      'registry.hub.docker.com',
      'overlaybd/redis',
    ],
    ['HTTPS://GHCR.io/v2/v2/blobs/blobs', 'ghcr.io', 'v2/blobs'],
    ['https://[::1]:5000/v2/a/blobs', '[::1]:5000', 'a'],
  ];
  for (const [url, host, repository] of forms) {
    t.same(parse(url), { host, repository }, url);
  }
  t.end();
});

await test('wrong ones', (t) => {
  const form =
    /^config\.v1\.json: repoBlobUrl: ".*": not of the form https:\/\/HOST\/v2\/REPOSITORY\/blobs$/;
  const wrong: [string, RegExp][] = [
    ['', form],
    ['ftp://ghcr.io/v2/a/blobs', form],
    ['https://ghcr.io/a/blobs', form],
    ['https://ghcr.io/v2/blobs', form],
    ['https://ghcr.io/v2/a/blobs?x=1', form],
    ['https://user:secret@ghcr.io/v2/a/blobs', form],
    [`https://ghcr.io/v2/${'a/'.repeat(600)}blobs`, form],
    ['https://ghcr.io/v2/A/blobs', /must be lower case/],
    ['https://ghcr.io/v2/../x/blobs', /"\.\." is not a part of a repository/],
    ['https://gh_cr.io/v2/a/blobs', /"gh_cr\.io" is not a host/],
    ['https://ghcr.io:70000/v2/a/blobs', /70000 is not a port/],
  ];
  for (const [url, message] of wrong)
    t.throws(() => parse(url), { code: 'BAD_CONFIG', message }, url.slice(0, 50));
  t.end();
});

await test('any text is a URL or refused', async (t) => {
  const pieces = fc.constantFrom(
    'https://',
    'http://',
    'a',
    '/',
    '/v2/',
    '/blobs',
    ':',
    '@',
    '?',
    '..',
    '%2e',
    '\\',
    '[',
    '5000',
    'A',
  );
  await holds(
    t,
    fc.property(fc.array(pieces, { maxLength: 12 }), (each) => {
      try {
        const { host, repository } = parse(each.join(''));
        if (/[^a-z0-9.:[\]-]/.test(host) || /\.\.|[^a-z0-9._/-]/.test(repository))
          throw new Error(`${host} ${repository}`);
      } catch (error) {
        if (!(error instanceof OverlaybdError)) throw error;
      }
    }),
    { seed: SEED, numRuns: usualOrLong(1000, 5000) },
  );
});
