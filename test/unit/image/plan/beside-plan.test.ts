// What is named beside layers, and what it may lie beside.
import { resolve } from 'node:path';
import { test } from 'tap';
import { fileRef, keyOfRef, refOfText } from '../../../../daemon/blob/blob-ref.js';
import {
  checkBeside,
  checkZtocs,
  indexOf,
  planBeside,
  withChoices,
  withObjects,
} from '../../../../daemon/image/plan/beside-plan.js';

const NOTHING = { tocBlob: null, tocDigest: null, ztocs: [] };
const digest = `sha256:${'a'.repeat(64)}`;
const [one, two] = [fileRef('/one'), fileRef('/two')];

await test('what fits', (t) => {
  checkBeside(NOTHING, [one, two], true);
  checkBeside({ ...NOTHING, tocBlob: '/toc', tocDigest: digest }, [one], true);
  checkBeside({ ...NOTHING, ztocs: ['/a', null] }, [one, two], true);
  const image = refOfText('docker://example/app:1');
  const wrong: [Parameters<typeof checkBeside>, RegExp][] = [
    [
      [{ ...NOTHING, tocDigest: digest }, [one, two], true],
      /^\/one: --toc-digest: only for a single layer that is given as a file/,
    ],
    [
      [{ ...NOTHING, tocBlob: '/toc', blobs: '/b', objects: '/o' }, [image], false],
      /--toc-blob, --blobs: only for a single layer that is given as a file/,
    ],
    [
      [{ ...NOTHING, ztocs: ['/a'] }, [one, two], true],
      /^\/one: --ztoc: 2 layers and 1 ztoc: it is given/,
    ],
    [
      [{ ...NOTHING, ztocs: ['/a'] }, [image], false],
      /--ztoc: only for layers that are given as files/,
    ],
  ];
  for (const [args, message] of wrong) {
    t.throws(() => checkBeside(...args), { code: 'BAD_ARGUMENT', message });
  }
  t.end();
});

await test('tables of contents', (t) => {
  t.same(planBeside([one], {}), { tocs: null, tocBlob: null });
  const { tocs, tocBlob } = planBeside([one], { tocBlob: 'toc', tocDigest: digest });
  t.same([...(tocs ?? [])], [[keyOfRef(one), { json: digest, manifest: digest }]]);
  t.same(tocBlob, fileRef(resolve('toc')));
  t.end();
});

await test('ztocs', (t) => {
  const ztoc = { ref: fileRef('/a'), digest: null };
  const { ztocs } = planBeside([one, two], { ztocs: ['/a', null] });
  t.same([...(ztocs ?? [])], [[keyOfRef(one), ztoc]]);
  const digested = planBeside([one], { ztocs: ['/a'], tocDigest: digest });
  t.same([...(digested.ztocs ?? [])], [[keyOfRef(one), { ...ztoc, digest }]]);
  t.equal(digested.tocs, null);
  const none = planBeside([one], { ztocs: [null], tocDigest: digest });
  t.equal(none.tocs?.size, 1);
  t.equal(none.ztocs, undefined);
  t.throws(() => planBeside([one, one], { ztocs: ['/a', null] }), { code: 'BAD_ARGUMENT' });
  t.equal(planBeside([one, one], { ztocs: ['/a', '/a'] }).ztocs?.size, 1);
  t.end();
});

await test('ztocs of a registry that are too large', (t) => {
  const ref = { kind: 'registry', host: 'h', repository: 'r', digest, size: 128 << 20 } as const;
  checkZtocs(undefined, 'app');
  checkZtocs(new Map([['layer', { ref, digest }]]), 'app');
  const larger = { ref: { ...ref, size: ref.size + 1 }, digest };
  t.throws(() => checkZtocs(new Map([['layer', larger]]), 'app'), {
    code: 'LIMIT',
    message: `app: ztoc h/r@${digest}: 134217729 bytes, at most 134217728`,
  });
  t.end();
});

await test('one layer alone', (t) => {
  const plan = { name: 'image', lowers: [one, two], upper: two, trace: two, mayBeRaw: true };
  t.equal(withChoices(plan), plan);
  t.equal(withChoices(plan, NOTHING), plan);
  t.same(withChoices(plan, { ...NOTHING, layer: 1 }), {
    name: 'image (layer 1)',
    lowers: [two],
    upper: null,
    trace: null,
    mayBeRaw: false,
    layer: 1,
  });
  t.same(withChoices(plan, { ...NOTHING, insecureToc: true }), { ...plan, insecureToc: true });
  const message = 'image: --layer 2: it has 2 layers, and the bottom one is 0';
  t.throws(() => withChoices(plan, { ...NOTHING, layer: 2 }), { code: 'BAD_ARGUMENT', message });
  t.end();
});

await test('a SOCI index that is named', async (t) => {
  t.equal(await indexOf(), null);
  t.equal(await indexOf(NOTHING), null);
  t.same(await indexOf({ ...NOTHING, sociIndex: digest }), { kind: 'digest', digest });
  const given = { ...NOTHING, sociIndex: digest };
  checkBeside(given, [refOfText('docker://example/app:1')], false);
  t.throws(() => checkBeside(given, [one], true), { code: 'BAD_ARGUMENT' });
});

await test('objects of an image: it has one layer', (t) => {
  const image = { name: 'image', lowers: [one] };
  t.same(withObjects(image, {}), image);
  t.same(withObjects(image, { objects: '/o' }), { ...image, objects: '/o' });
  t.throws(() => withObjects({ ...image, lowers: [one, two] }, { objects: '/o' }), {
    code: 'BAD_ARGUMENT',
    message: 'image: --objects: only for an image of 1 layer, and it has 2 layers',
  });
  t.end();
});
