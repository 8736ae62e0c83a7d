// Errors of plans: their facts.
import { join } from 'node:path';
import { test } from 'tap';
import { fileRef } from '../../../../daemon/blob/blob-ref.js';
import type { ErrorCode, ErrorFacts } from '../../../../daemon/errors.js';
import { checkBeside, checkZtocs, withChoices } from '../../../../daemon/image/plan/beside-plan.js';
import { planConfig } from '../../../../daemon/image/plan/config-plan.js';
import { NOTHING_BESIDE, type Beside } from '../../../../daemon/image/plan/image-source.js';
import { checkLayerCount, checkRegistryBytes } from '../../../../daemon/image/plan/plan-limits.js';
import { checkErrors, type ErrorRow } from '../../../support/error-rows.js';

const DIGEST = `sha256:${'0'.repeat(64)}`;
const SHA512 = `sha512:${'0'.repeat(128)}`;
const REPOSITORY = 'https://reg.example/v2/app/blobs';
const FORM = '"sha256:" and 64 digits 0-9, a-f';
const ref = {
  kind: 'registry',
  host: 'h',
  repository: 'r',
  digest: DIGEST,
  size: 2 ** 50,
} as const;

function lower(more: object): object {
  return { repoBlobUrl: REPOSITORY, lowers: [more] };
}

await test('errors of a configuration have its path and the key', async (t) => {
  const folder = t.testdir({ layer: 'x' });
  const path = join(folder, 'config.v1.json');
  const row = (config: unknown, code: ErrorCode, facts: ErrorFacts): ErrorRow => [
    () => planConfig(path, JSON.stringify(config)),
    code,
    { path, ...facts },
  ];
  const file = { file: 'layer' };
  const blob = join(folder, 'layer');
  const missing = join(folder, 'none');
  await checkErrors(
    t,
    {
      'nothing to serve': row({}, 'BAD_CONFIG', {}),
      'an upper of turboOCI': row({ upper: { target: 'x' } }, 'UNSUPPORTED', { section: 'upper' }),
      'no such layer': row({ lowers: [file, { file: 'none' }] }, 'NOT_FOUND', {
        section: 'lowers.1',
        blob: missing,
      }),
      'a layer without a name': row({ lowers: [{}] }, 'NOT_FOUND', { section: 'lowers.0' }),
      'no digest': row(lower({ digest: 'x', size: 1 }), 'BAD_CONFIG', {
        section: 'lowers.0.digest',
        expected: FORM,
        got: '"x"',
      }),
      'a digest of another algorithm': row(lower({ digest: SHA512, size: 1 }), 'UNSUPPORTED', {
        section: 'lowers.0',
        digest: SHA512,
      }),
      'no size': row(lower({ digest: DIGEST }), 'BAD_CONFIG', {
        section: 'lowers.0.size',
        digest: DIGEST,
        got: 0,
      }),
      'a wrong URL': row(
        { repoBlobUrl: 'https://me:secret@h/?sig=secret', lowers: [{ digest: DIGEST, size: 1 }] },
        'BAD_CONFIG',
        { section: 'repoBlobUrl', url: 'https://...@h/?...' },
      ),
      'too many bytes': row(lower({ digest: DIGEST, size: 2 ** 50 }), 'LIMIT', {
        expected: 'at most 1099511627776',
        got: 2 ** 50,
      }),
      'a gzip index without a target': row(
        { lowers: [{ ...file, gzipIndex: 'layer' }] },
        'BAD_CONFIG',
        { section: 'lowers.0' },
      ),
      'a target that has no digest': row(lower({ ...file, targetDigest: 'x' }), 'BAD_CONFIG', {
        section: 'lowers.0.targetDigest',
        expected: FORM,
        got: '"x"',
      }),
      'a target in no registry': row(
        { lowers: [{ ...file, targetDigest: DIGEST }] },
        'BAD_CONFIG',
        { section: 'lowers.0.targetDigest', digest: DIGEST },
      ),
      'two targets': row(
        {
          lowers: [
            { ...file, targetFile: 'a' },
            { ...file, targetFile: 'b' },
          ],
        },
        'BAD_CONFIG',
        { section: 'lowers.1', blob },
      ),
    },
    ['digest', 'blob'],
  );
  await t.rejects(planConfig(path, '{"lower":[]}'), {
    message: `${path}: neither lowers nor an upper: nothing to serve; it has the key "lower": did you mean "lowers"?`,
  });
});

const beside = (more: Partial<Beside>, count = 1): (() => void) => {
  const named = Array.from({ length: count }, (_, i) => fileRef(`/${i}`));
  return () => checkBeside({ ...NOTHING_BESIDE, ...more }, named, true);
};
const plan = { name: '/0', lowers: [fileRef('/0')], upper: null, trace: null, mayBeRaw: true };

const ROWS: Record<string, ErrorRow> = {
  'options for one layer': [
    beside({ objects: '/o' }, 2),
    'BAD_ARGUMENT',
    { image: '/0', section: '--objects' },
  ],
  'a SOCI index': [
    beside({ sociIndex: 'x' }),
    'BAD_ARGUMENT',
    { image: '/0', section: '--soci-index' },
  ],
  'a ztoc too many': [
    beside({ ztocs: ['/z', '/y'] }),
    'BAD_ARGUMENT',
    { image: '/0', section: '--ztoc', expected: '1 layer', got: '2 ztocs' },
  ],
  'no such layer': [
    () => withChoices(plan, { layer: 3 }),
    'BAD_ARGUMENT',
    { image: '/0', section: '--layer 3', expected: '1 layer', got: 3 },
  ],
  'a large ztoc': [
    () => checkZtocs(new Map([['k', { ref, digest: DIGEST }]]), 'app'),
    'LIMIT',
    {
      image: 'app',
      section: `ztoc h/r@${DIGEST}`,
      digest: DIGEST,
      expected: 'at most 134217728',
      got: 2 ** 50,
    },
  ],
  layers: [
    () => checkLayerCount(256, 'app'),
    'LIMIT',
    { image: 'app', expected: 'at most 255', got: 256 },
  ],
  bytes: [
    () => checkRegistryBytes([ref, ref], 'app'),
    'LIMIT',
    { image: 'app', expected: 'at most 1099511627776', got: 2 ** 51 },
  ],
};

await test('errors of what lies beside layers, and of limits', async (t) => checkErrors(t, ROWS));
