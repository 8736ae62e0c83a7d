// Names of images: Docker's defaults, prefixes, limits, and that every text is a name or a clear refusal.
import * as fc from 'fast-check';
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { hasImagePrefix } from '../../../daemon/blob/blob-ref.js';
import { parseReference } from '../../../daemon/registry/reference.js';
import { holds } from '../../support/holds.js';
import { usualOrLong } from '../../support/long-tests.js';
import { SEED } from '../../support/seed.js';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

await test("Docker's defaults", (t) => {
  const names: [string, string, string, string, string | null][] = [
    ['redis', 'docker.io/library/redis:latest', 'registry-1.docker.io', 'library/redis', 'latest'],
    ['redis:7', 'docker.io/library/redis:7', 'registry-1.docker.io', 'library/redis', '7'],
    ['me/app', 'docker.io/me/app:latest', 'registry-1.docker.io', 'me/app', 'latest'],
    [
      'docker.io/redis:7',
      'docker.io/library/redis:7',
      'registry-1.docker.io',
      'library/redis',
      '7',
    ],
    [
      'index.docker.io/redis',
      'docker.io/library/redis:latest',
      'registry-1.docker.io',
      'library/redis',
      'latest',
    ],
    ['docker.io/a/b/c:x', 'docker.io/a/b/c:x', 'registry-1.docker.io', 'a/b/c', 'x'],
    [
      'registry-1.docker.io/library/redis',
      'registry-1.docker.io/library/redis:latest',
      'registry-1.docker.io',
      'library/redis',
      'latest',
    ],
    ['localhost/app', 'localhost/app:latest', 'localhost', 'app', 'latest'],
    ['localhost:5000/app:x', 'localhost:5000/app:x', 'localhost:5000', 'app', 'x'],
    ['app:5000', 'docker.io/library/app:5000', 'registry-1.docker.io', 'library/app', '5000'],
    ['host:5000/app', 'host:5000/app:latest', 'host:5000', 'app', 'latest'],
    ['GHCR.io/a/b', 'ghcr.io/a/b:latest', 'ghcr.io', 'a/b', 'latest'],
    ['HOST/app', 'host/app:latest', 'host', 'app', 'latest'],
    ['[::1]:5000/app', '[::1]:5000/app:latest', '[::1]:5000', 'app', 'latest'],
    ['10.0.0.1/a__b/c-d.e_f', '10.0.0.1/a__b/c-d.e_f:latest', '10.0.0.1', 'a__b/c-d.e_f', 'latest'],
    [`ghcr.io/a/b@${DIGEST}`, `ghcr.io/a/b@${DIGEST}`, 'ghcr.io', 'a/b', null],
    [`ghcr.io/a/b:v1@${DIGEST}`, `ghcr.io/a/b:v1@${DIGEST}`, 'ghcr.io', 'a/b', 'v1'],
    ['docker://redis:7', 'docker.io/library/redis:7', 'registry-1.docker.io', 'library/redis', '7'],
  ];
  for (const [text, name, host, repository, tag] of names) {
    const digest = text.includes('@') ? DIGEST : null;
    t.same(parseReference(text), { kind: 'registry', name, host, repository, tag, digest }, text);
  }
  t.end();
});

await test('layouts and archives', (t) => {
  const layout = (text: string, folder: string, tag: string | null, digest: string | null = null) =>
    t.same(parseReference(text), { kind: 'oci', name: text, folder, tag, digest });
  layout('oci:/images/app', '/images/app', null);
  layout('oci:app:v1', 'app', 'v1');
  layout('oci:app:docker.io/library/redis:7', 'app', 'docker.io/library/redis:7');
  layout(`oci:a/b@${DIGEST}`, 'a/b', null, DIGEST);
  const archive = (text: string, path: string, tag: string | null) =>
    t.same(parseReference(text), { kind: 'docker-archive', name: text, path, tag });
  archive('docker-archive:/tmp/a.tar', '/tmp/a.tar', null);
  archive('docker-archive:a.tar:redis', 'a.tar', 'docker.io/library/redis:latest');
  t.ok(['docker://a', 'oci:a', 'docker-archive:a'].every(hasImagePrefix));
  t.notOk(['a', 'oci', './oci:a', '/docker://a', 'docker:a'].some(hasImagePrefix));
  t.end();
});

await test('what is wrong is said', (t) => {
  const wrong: [string, RegExp][] = [
    ['', /^"" is not the name of an image: it is empty$/],
    ['docker://', /it is empty/],
    ['https://ghcr.io/a/b', /no scheme such as https:\/\//],
    ['Redis', /must be lower case: "library\/redis"/],
    ['ghcr.io/A/b', /must be lower case: "a\/b"/],
    ['ghcr.io/', /the repository is missing/],
    ['ghcr.io/a//b', /a part of the repository is empty/],
    ['ghcr.io/a/../b', /"\.\." is not a part of a repository/],
    ['ghcr.io/a___b', /"a___b" is not a part/],
    ['ghcr.io/a/b:', /the tag after the colon is empty/],
    ['ghcr.io/a/b:-x', /"-x" is not a tag/],
    [`ghcr.io/a/b:${'x'.repeat(129)}`, /the tag has 129 characters; at most 128 are allowed/],
    [`ghcr.io/${'a/'.repeat(128)}`, /the repository has 256 characters; at most 255/],
    ['ghcr.io:0/a', /0 is not a port/],
    ['ghcr.io:99999/a', /99999 is not a port/],
    ['-x.io/a', /"-x.io" is not a host/],
    ['user@ghcr.io/a', /"ghcr.io\/a" is not a digest/],
    ['a@sha256:12', /"sha256:12" is not a digest/],
    [`a@${DIGEST.toUpperCase().replace('SHA', 'sha')}`, /is not a digest/],
    ['f'.repeat(64), /the ID of an image/],
    ['a\u001b[31mb', /"a\\u\{1b\}\[31mb"/],
    ['a\0b', /NUL/],
    ['oci:', /names no folder/],
    ['oci:a:', /the tag after the colon is empty/],
    ['oci:@sha256:', /names no folder/],
    ['docker-archive::a', /names no file/],
    ['docker-archive:a.tar:Redis', /must be lower case/],
    [`docker-archive:a.tar:redis@${DIGEST}`, /no digests/],
    ['x'.repeat(5000), /longer than 4479 characters/],
  ];
  for (const [text, message] of wrong) {
    t.throws(() => parseReference(text), { code: 'BAD_ARGUMENT', message }, text.slice(0, 40));
  }
  t.throws(() => parseReference(`a@sha512:${'0'.repeat(128)}`), { code: 'UNSUPPORTED' });
  t.end();
});

await test('a name in full names the same image', async (t) => {
  const part = fc.stringMatching(/^[a-z0-9]{1,8}(?:(?:[._]|__|-{1,3})[a-z0-9]{1,4}){0,2}$/);
  const host = fc.constantFrom('me/', 'ghcr.io/', 'localhost/', 'a-b.example:5000/', '[::1]/');
  const tag = fc.option(fc.stringMatching(/^\w[\w.-]{0,127}$/), { nil: null });
  await holds(
    t,
    fc.property(
      host,
      fc.array(part, { minLength: 1, maxLength: 5 }),
      tag,
      fc.boolean(),
      (at, parts, label, pinned) => {
        const text = `${at}${parts.join('/')}${label === null ? '' : `:${label}`}${pinned ? `@${DIGEST}` : ''}`;
        const once = parseReference(text);
        const { name, ...rest } = parseReference(once.name);
        if (name !== once.name) throw new Error(`${name} is not ${once.name}`);
        const { name: _, ...first } = once;
        if (JSON.stringify(rest) !== JSON.stringify(first)) throw new Error(text);
      },
    ),
    { seed: SEED, numRuns: 1000 },
  );
});

await test('any text is a name or refused', async (t) => {
  const pieces = fc.constantFrom(
    'a',
    'B',
    '/',
    ':',
    '@',
    '.',
    '..',
    '-',
    '_',
    '[',
    ']',
    'sha256:',
    'oci:',
    'docker://',
    '\0',
    '\u{202e}',
    '%',
    ' ',
    '5000',
    DIGEST,
  );
  const text = fc.oneof(
    fc.string({ maxLength: 300 }),
    fc.array(pieces, { maxLength: 12 }).map((each) => each.join('')),
  );
  await holds(
    t,
    fc.property(text, (each) => {
      try {
        const found = parseReference(each);
        if (found.kind !== 'registry') return;
        if (/\.\.|[^a-z0-9._/-]/.test(found.repository)) throw new Error(found.repository);
        if (/[^a-z0-9.:[\]-]/.test(found.host)) throw new Error(found.host);
      } catch (error) {
        if (!(error instanceof OverlaybdError)) throw error;
      }
    }),
    { seed: SEED, numRuns: usualOrLong(1000, 5000) },
  );
});
