// The choice among the entries of an index.
import { test } from 'tap';
import { parseManifest, type Descriptor } from '../../../daemon/registry/manifest.js';
import {
  chooseEntry,
  parsePlatform,
  platformText,
  thisPlatform,
} from '../../../daemon/registry/platform.js';
import {
  NATIVE,
  OCI_MANIFEST,
  descriptor,
  encode,
  imageIndex,
  type Json,
} from '../../support/memory-registry.js';

interface Entry {
  platform?: string | Json;
  more?: Json;
}

/** Entries whose content is their place in the list. */
function entries(list: Entry[]): readonly Descriptor[] {
  const index = imageIndex(
    list.map(({ platform, more }, i) => {
      const [os, architecture, variant] = typeof platform === 'string' ? platform.split('/') : [];
      const value = typeof platform === 'string' ? { os, architecture, variant } : platform;
      return descriptor(OCI_MANIFEST, String(i), { platform: value, ...more });
    }),
  );
  const found = parseManifest(encode(index), '', 'x');
  return found.kind === 'index' ? found.manifests : [];
}

function chosen(list: Entry[], platform: string): number {
  const all = entries(list);
  return all.indexOf(chooseEntry(all, parsePlatform(platform), 'app:1'));
}

const of = (...platforms: string[]): Entry[] => platforms.map((platform) => ({ platform }));

await test('names', (t) => {
  t.same(parsePlatform('Linux/ARM64/v8'), { os: 'linux', architecture: 'arm64', variant: 'v8' });
  const same = {
    'linux/arm64/v8': 'linux/arm64',
    'linux/aarch64': 'linux/arm64',
    'linux/x86_64': 'linux/amd64',
    'linux/amd64/v1': 'linux/amd64',
    'linux/amd64/v3': 'linux/amd64/v3',
    'linux/armhf': 'linux/arm/v7',
    'linux/arm': 'linux/arm/v7',
    'linux/arm/6': 'linux/arm/v6',
    'linux/s390x': 'linux/s390x',
    arm64: 'linux/arm64',
    ARM: 'linux/arm/v7',
    'arm/v6': 'linux/arm/v6',
    x86_64: 'linux/amd64',
  };
  for (const [text, name] of Object.entries(same)) t.equal(platformText(parsePlatform(text)), name);
  for (const text of [
    '',
    'linux',
    'linux/',
    '/amd64',
    'a/b/c/d',
    'linux/amd 64',
    'x'.repeat(200),
  ]) {
    t.throws(() => parsePlatform(text), {
      code: 'BAD_ARGUMENT',
      message: /is not a platform: OS\/ARCHITECTURE/,
    });
  }
  t.equal(thisPlatform().os, 'linux');
  t.notOk(['x64', 'ia32'].includes(thisPlatform().architecture));
  t.end();
});

await test('the same platform, whatever it is called', (t) => {
  t.equal(chosen(of('linux/amd64', 'linux/arm64/v8'), 'linux/arm64'), 1);
  t.equal(chosen(of('linux/arm64', 'linux/amd64'), 'linux/arm64/v8'), 0);
  t.equal(chosen(of('linux/s390x', 'linux/x86_64'), 'linux/amd64'), 1);
  t.equal(chosen(of('windows/amd64', 'linux/amd64'), 'linux/amd64'), 1);
  t.end();
});

await test('the nearest older variant, never a newer one', (t) => {
  t.equal(chosen(of('linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7'), 'linux/arm/v7'), 2);
  t.equal(chosen(of('linux/arm/v5', 'linux/arm/v6'), 'linux/arm/v7'), 1);
  t.equal(chosen(of('linux/amd64', 'linux/amd64/v2', 'linux/amd64/v4'), 'linux/amd64/v3'), 1);
  t.equal(chosen(of('linux/arm64'), 'linux/arm64/v9'), 0);
  t.throws(() => chosen(of('linux/amd64/v2'), 'linux/amd64'), { code: 'NOT_FOUND' });
  t.throws(() => chosen(of('linux/arm/vfp'), 'linux/arm/v7'), { code: 'NOT_FOUND' });
  t.end();
});

/** The choice on a processor of this level. */
const on = (level: number, ...platforms: string[]): number => {
  const all = entries(of(...platforms));
  const own = { ...parsePlatform('amd64'), newest: () => level };
  return all.indexOf(chooseEntry(all, own, 'app:1'));
};

await test('a newer variant, if the processor has it and there is nothing else', (t) => {
  t.equal(on(3, 'linux/amd64/v4', 'linux/amd64/v3', 'linux/amd64/v2'), 2);
  t.equal(on(3, 'linux/amd64/v2', 'linux/amd64'), 1);
  t.throws(() => on(2, 'linux/amd64/v3'), { code: 'NOT_FOUND' });
  t.throws(() => on(4, 'linux/amd64/vx'), { code: 'NOT_FOUND' });
  const level = thisPlatform().newest?.() ?? 1;
  t.ok(level >= 1 && level <= 4);
  t.end();
});

await test('of several, the overlaybd one, then one without features', (t) => {
  const linux = { os: 'linux', architecture: 'amd64' };
  const nydus = { platform: { ...linux, 'os.features': ['nydus.remoteimage.v1'] } };
  const native = { platform: linux, more: { artifactType: NATIVE } };
  t.equal(chosen([nydus, { platform: linux }, native], 'linux/amd64'), 2);
  t.equal(chosen([nydus, { platform: linux }, { platform: linux }], 'linux/amd64'), 1);
  t.end();
});

await test('attestations are no images', (t) => {
  const note = { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } };
  t.equal(
    chosen([{ platform: 'linux/amd64', more: note }, ...of('linux/amd64')], 'linux/amd64'),
    1,
  );
  t.throws(() => chosen(of('unknown/unknown'), 'linux/amd64'), {
    code: 'NOT_FOUND',
    message: /^app:1: no image for linux\/amd64; the index has no images$/,
  });
  t.end();
});

await test('an entry without a platform, if it is the only one', (t) => {
  t.equal(chosen([{}], 'linux/amd64'), 0);
  t.equal(chosen([...of('unknown/unknown', 'plan9/s390x'), {}], 'linux/amd64'), 2);
  t.throws(() => chosen([{}, {}], 'linux/amd64'), { message: /its platforms: not named/ });
  t.end();
});

await test('the error lists what there is', (t) => {
  t.throws(
    () => chosen(of('linux/arm64/v8', 'linux/arm/v7', 'linux/arm64', 'win\u001b/x'), 'linux/amd64'),
    {
      code: 'NOT_FOUND',
      message:
        'app:1: no image for linux/amd64; its platforms: linux/arm64, linux/arm/v7, win\\u{1b}/x (see --platform)',
    },
  );
  const many = of(...Array.from({ length: 30 }, (_, i) => `linux/cpu${i}`));
  t.throws(() => chosen(many, 'linux/amd64'), { message: /linux\/cpu19 and 10 more \(see/ });
  t.end();
});
