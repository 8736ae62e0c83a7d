// The request that the words and options of `attach` make. The command itself: test/e2e.
import { writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'tap';
import {
  attachRequest,
  registriesWanted,
  sourceOf,
  type AttachArguments,
} from '../../../../daemon/cli/options/attach.js';
import { checkAttachRequest } from '../../../../daemon/control/requests.js';

await test('existing files are an image; any other single word is an export name', async (t) => {
  const file = join(t.testdir({ 'image.json': '{}' }), 'image.json');
  t.same(sourceOf([file]), { image: [file] });
  t.same(
    sourceOf([relative(process.cwd(), file)]),
    { image: [file] },
    'paths are absolute, because the daemon has another working directory',
  );
  t.same(sourceOf(['web']), { export: 'web' });
  t.throws(() => sourceOf([]), { code: 'BAD_ARGUMENT' });
  t.throws(() => sourceOf(['./no/file']), { code: 'NOT_FOUND', message: /no\/file/ });
  t.same(sourceOf(['no/such/file']), { image: ['docker://no/such/file'] }, 'else an image');
  t.same(sourceOf(['docker://web']), { image: ['docker://web'] });
  writeFileSync(`${file}2`, '');
  t.same(sourceOf([file, `${file}2`]), { image: [file, `${file}2`] });
});

await test('the request has the options that were given', (t) => {
  const web = { export: 'web' };
  t.same(attachRequest(web, {}), web, 'the daemon has defaults for missing options');
  const args = {
    state: '/run/x',
    device: 'nbd7',
    partition: 2,
    connections: 4,
    timeout: 5,
    'dead-conn-timeout': 0,
    'block-size': 4096,
  };
  const all = {
    ...web,
    index: 7,
    partition: 2,
    connections: 4,
    timeoutSeconds: 5,
    deadConnTimeoutSeconds: 0,
    blockSize: 4096,
    reuse: false,
    sizeMultiple: 4096,
  };
  t.same(attachRequest(web, args, { reuse: false, sizeMultiple: 4096 }), all);
  t.equal(attachRequest(web, { device: '/dev/nbd0' }).index, 0);
  t.same(attachRequest({ image: ['/a'] }, { layer: 1 }), {
    image: ['/a'],
    beside: { tocBlob: null, tocDigest: null, ztocs: [], layer: 1 },
  });
  const refused: [AttachArguments, string][] = [
    [{ layer: 1 }, '--layer'],
    [{ 'toc-blob': 'x' }, '--toc-blob'],
    [{ ztoc: ['none'] }, '--ztoc'],
    [{ objects: 'd' }, '--objects'],
    [{ 'insecure-toc': true }, '--insecure-toc'],
  ];
  for (const [given, option] of refused) {
    const message = `${option}: for an image, and "web" is an export of the daemon`;
    t.throws(() => attachRequest(web, given), { code: 'BAD_ARGUMENT', message });
  }
  const beside = { layer: 1 };
  t.throws(() => checkAttachRequest({ ...web, beside }), { message: /"beside" is for an "image"/ });
  t.end();
});

await test('the settings of registries that were given are in the request', async (t) => {
  const tell = (note: string): void => void t.fail(note);
  t.same(await registriesWanted({}, tell), {}, 'nothing that an older daemon would refuse');
  const wanted = await registriesWanted({ 'plain-http': ['a:5000'], pull: 'missing' }, tell);
  t.same(attachRequest({ export: 'web' }, {}, wanted), {
    export: 'web',
    registries: { plainHttp: ['a:5000'], pull: 'missing' },
  });
});

await test('invalid option values are refused', (t) => {
  const cases = [
    [{ device: 'sda' }, /^sda: not a device like \/dev\/nbd0$/],
    [{ device: '/dev/nbd0p1' }, /not a device/],
    [{ device: 'nbd99999' }, /^attach: index: 99999 is not a whole number from 0 to 65535$/],
    [{ connections: 17 }, /^attach: connections: 17 is not a whole number from 1 to 16$/],
    [{ timeout: 0 }, /^attach: timeoutSeconds: 0 is not a whole number from 1 to 86400$/],
    [{ 'block-size': 513 }, /^attach: blockSize: 513 is not one of 512, 1024, 2048, 4096$/],
  ] as const;
  for (const [args, message] of cases) {
    t.throws(() => attachRequest({ export: '' }, args), { code: 'BAD_ARGUMENT', message });
  }
  t.end();
});
