// What is refused of an image before any of its layers is opened.
import { test } from 'tap';
import type { BlobRef } from '../../../../daemon/blob/blob-ref.js';
import { checkLayerCount, checkRegistryBytes } from '../../../../daemon/image/plan/plan-limits.js';

/** docs/limits.md. */
const MAX_LAYERS = 255;
const MAX_BYTES = 2 ** 40;

const blob = (size: number): BlobRef => {
  return { kind: 'registry', host: 'reg.example', repository: 'app', digest: 'sha256:0', size };
};

await test('the number of layers', (t) => {
  t.doesNotThrow(() => checkLayerCount(MAX_LAYERS, 'app'));
  t.throws(() => checkLayerCount(MAX_LAYERS + 1, 'app', 'layers and targets'), {
    code: 'LIMIT',
    message: 'app: 256 layers and targets, at most 255',
  });
  t.end();
});

await test('the bytes of layers in registries', (t) => {
  t.doesNotThrow(() => checkRegistryBytes([blob(MAX_BYTES), { kind: 'file', path: '/a' }], 'app'));
  t.throws(() => checkRegistryBytes([blob(MAX_BYTES), blob(1)], 'app'), {
    code: 'LIMIT',
    message: `app: ${MAX_BYTES + 1} bytes of layers in registries, at most ${MAX_BYTES}`,
  });
  t.end();
});
