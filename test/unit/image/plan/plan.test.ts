// The files of an image: paths, lookup order, notes and refusals. No layer is opened, so files are empty here.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test, type Test } from 'tap';
import { describeRef } from '../../../../daemon/blob/blob-ref.js';
import { BlobPool } from '../../../../daemon/image/plan/blob-pool.js';
import { ImageBlobs } from '../../../../daemon/image/plan/image-blobs.js';
import { sourceOfWords } from '../../../../daemon/image/plan/image-source.js';
import { planImage, type ImagePlan } from '../../../../daemon/image/plan/plan.js';
import { ReaderFactory } from '../../../../daemon/image/disks/reader-factory.js';

/** A plan with the paths of its blobs. */
type PathPlan = Omit<ImagePlan, 'lowers' | 'upper'> & {
  readonly lowers: string[];
  readonly upper: { readonly data: string; readonly index: string } | null;
};

async function planOf(paths: readonly string[]): Promise<PathPlan> {
  const files = new ImageBlobs(new BlobPool(new ReaderFactory()));
  const plan = planImage(sourceOfWords(paths).blobs, files).finally(() => files.release());
  const { lowers, upper, ...rest } = await plan;
  return {
    ...rest,
    lowers: lowers.map(describeRef),
    upper: upper && { data: describeRef(upper.data), index: describeRef(upper.index) },
  };
}

interface Folder {
  readonly path: string;
  readonly config: string;
  plan(config: unknown): Promise<PathPlan>;
  touch(...names: string[]): void;
}

function folderOf(t: Test): Folder {
  const path = t.testdir();
  const config = join(path, 'config.v1.json');
  return {
    path,
    config,
    plan: (value) => {
      writeFileSync(config, JSON.stringify(value));
      return planOf([config]);
    },
    touch: (...names) => {
      for (const name of names) {
        mkdirSync(dirname(join(path, name)), { recursive: true });
        writeFileSync(join(path, name), '');
      }
    },
  };
}

/** Runs with another working directory. */
async function inside<T>(folder: string, run: () => Promise<T>): Promise<T> {
  const before = process.cwd();
  process.chdir(folder);
  try {
    return await run();
  } finally {
    process.chdir(before);
  }
}

await test('relative paths: next to the configuration first', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd', 'sub/b.obd', 'elsewhere/a.obd');
  const config = { lowers: [{ file: 'a.obd' }, { file: './sub/../sub/b.obd' }] };
  const expected = [join(folder.path, 'a.obd'), join(folder.path, 'sub/b.obd')];
  t.same((await folder.plan(config)).lowers, expected);
  t.same(
    (await inside(join(folder.path, 'elsewhere'), () => folder.plan(config))).lowers,
    expected,
  );
});

await test('relative paths: then in the working directory', async (t) => {
  const folder = folderOf(t);
  folder.touch('cwd/c.obd', 'cwd/u.data', 'cwd/u.index', 'cwd/d/overlaybd.commit');
  const plan = await inside(join(folder.path, 'cwd'), () =>
    folder.plan({
      lowers: [{ file: 'c.obd' }, { dir: 'd' }],
      upper: { data: 'u.data', index: 'u.index' },
    }),
  );
  t.same(plan.lowers, [
    join(folder.path, 'cwd/c.obd'),
    join(folder.path, 'cwd/d/overlaybd.commit'),
  ]);
  t.same(plan.upper, {
    data: join(folder.path, 'cwd/u.data'),
    index: join(folder.path, 'cwd/u.index'),
  });
});

await test('absolute paths are kept, and all paths of a plan are absolute', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd');
  const plan = await inside(folder.path, () => {
    writeFileSync(
      folder.config,
      JSON.stringify({ lowers: [{ file: join(folder.path, 'a.obd') }] }),
    );
    return planOf(['config.v1.json']);
  });
  t.same(plan.lowers, [join(folder.path, 'a.obd')]);
  t.equal(plan.name, folder.config);
  t.equal(plan.mayBeRaw, false);
});

await test('lookup order: file, then dir with its three names; the first that exists', async (t) => {
  const folder = folderOf(t);
  const lower = { file: 'f.obd', dir: 'd' };
  const order = ['d/overlaybd.sealed', 'd/.commit', 'd/overlaybd.commit', 'f.obd'];
  for (const name of order) {
    folder.touch(name);
    t.same((await folder.plan({ lowers: [lower] })).lowers, [join(folder.path, name)], name);
  }
});

await test('a missing layer: the error lists every place that was tried', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd');
  const { path } = folder;
  await t.rejects(() => folder.plan({ lowers: [{ file: 'a.obd' }, { file: 'f', dir: 'd' }] }), {
    code: 'NOT_FOUND',
    message: `${folder.config}: lowers.1: the layer is not on disk: tried ${path}/f, ${path}/d/overlaybd.commit, ${path}/d/.commit, ${path}/d/overlaybd.sealed`,
  });
  await t.rejects(() => folder.plan({ lowers: [{}] }), {
    code: 'NOT_FOUND',
    message: /no file or dir is given$/,
  });
  await t.rejects(
    () => folder.plan({ lowers: [{ digest: 'sha256:aa' }] }),
    { code: 'NOT_FOUND' },
    'no repoBlobUrl',
  );
});

await test('an empty dir never means the root folder', async (t) => {
  const folder = folderOf(t);
  await t.rejects(() => folder.plan({ lowers: [{ dir: '' }] }), {
    code: 'NOT_FOUND',
    message: /no file or dir is given/,
  });
});

await test('a layer that is not on disk is in the repository', async (t) => {
  const folder = folderOf(t);
  const repoBlobUrl = 'https://registry.example/v2/a/blobs';
  const digest = `sha256:${'ab'.repeat(32)}`;
  folder.touch('d/overlaybd.commit', 'a.obd');
  const lowers = [{ file: 'a.obd' }, { digest, size: 5 }, { digest, size: 5, dir: 'd' }];
  const plan = await folder.plan({ repoBlobUrl, lowers });
  t.same(plan.lowers, [
    join(folder.path, 'a.obd'),
    `registry.example/a@${digest}`,
    join(folder.path, 'd/overlaybd.commit'),
  ]);
  t.same(plan.notes, []);
});

await test('wrong digests, sizes and URLs of layers in a registry', async (t) => {
  const folder = folderOf(t);
  const repoBlobUrl = 'https://registry.example/v2/a/blobs';
  const digest = `sha256:${'ab'.repeat(32)}`;
  const wrong: [unknown, RegExp, string?][] = [
    [{ digest: 'sha256:aa', size: 5 }, /lowers\.0\.digest: "sha256:aa" is not a digest/],
    [{ digest: 'sha256:../../etc', size: 5 }, /is not a digest/],
    [{ digest }, /lowers\.0\.size: 0: a layer in a registry needs the size of its blob/],
    [{ digest: `sha512:${'0'.repeat(128)}`, size: 5 }, /only sha256/, 'UNSUPPORTED'],
  ];
  for (const [lower, message, code = 'BAD_CONFIG'] of wrong) {
    await t.rejects(() => folder.plan({ repoBlobUrl, lowers: [lower] }), { code, message });
  }
  const size = 2 ** 39 + 1;
  await t.rejects(
    () =>
      folder.plan({
        repoBlobUrl,
        lowers: [
          { digest, size },
          { digest, size },
        ],
      }),
    {
      code: 'LIMIT',
      message:
        /config\.v1\.json: 1099511627778 bytes of layers in registries, at most 1099511627776/,
    },
  );
  await t.rejects(() => folder.plan({ repoBlobUrl: 'nowhere', lowers: [{ digest, size: 5 }] }), {
    code: 'BAD_CONFIG',
    message: /config\.v1\.json: repoBlobUrl: "nowhere": not of the form/,
  });
});

await test('a dangling link counts as missing', async (t) => {
  const folder = folderOf(t);
  symlinkSync('nowhere', join(folder.path, 'link.obd'));
  folder.touch('d/overlaybd.sealed');
  const { lowers } = await folder.plan({ lowers: [{ file: 'link.obd', dir: 'd' }] });
  t.same(lowers, [join(folder.path, 'd/overlaybd.sealed')]);
});

await test('the acceleration layer is left out with a note', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd');
  const lowers = [{ file: 'a.obd' }, { digest: 'sha256:ee', file: 'absent', targetFile: 'x' }];
  const plan = await folder.plan({ accelerationLayer: true, lowers });
  t.same(plan.lowers, [join(folder.path, 'a.obd')]);
  t.match(plan.notes, [
    /^.*config\.v1\.json: its last lower is an acceleration layer, which is not part/,
  ]);
  t.equal(plan.trace, null);
  t.equal(plan.notes.length, 1);
  await t.rejects(() => folder.plan({ accelerationLayer: true, lowers: [{ file: 'a.obd' }] }), {
    code: 'BAD_CONFIG',
    message: /neither lowers nor an upper/,
  });
});

await test('the trace of an acceleration layer: unpacked, or in a registry, or not there', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd', 'fs/trace');
  const digest = `sha256:${'e'.repeat(64)}`;
  const repoBlobUrl = 'https://registry.example/v2/team/app/blobs';
  const traceOf = async (lower: object): Promise<unknown> => {
    const lowers = [{ file: 'a.obd' }, lower];
    return (await folder.plan({ accelerationLayer: true, repoBlobUrl, lowers })).trace;
  };
  const blob = { digest, size: 2048 };
  t.same(await traceOf({ dir: 'fs', ...blob }), {
    kind: 'file',
    path: join(folder.path, 'fs/trace'),
  });
  t.match(await traceOf({ dir: 'absent', ...blob }), {
    kind: 'registry',
    host: 'registry.example',
    repository: 'team/app',
    digest,
    size: 2048,
  });
  t.equal(await traceOf({ digest: 'sha256:ee', size: 1 }), null, 'which does not fail the image');
  t.equal(await traceOf({ digest }), null);
  const lowers = [{ file: 'a.obd' }, blob];
  const plan = await folder.plan({ accelerationLayer: true, repoBlobUrl: 'nowhere', lowers });
  t.equal(plan.trace, null);
  t.same(plan.lowers, [join(folder.path, 'a.obd')]);
  t.match(plan.notes, [/nothing is prefetched: .*repoBlobUrl: "nowhere": not of the form/]);
});

await test('a trace in a file is replayed if it is there, and no file is written', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd', 'trace');
  const lowers = [{ file: 'a.obd' }];
  const { trace, notes } = await folder.plan({ lowers, recordTracePath: 'trace' });
  t.same(trace, { kind: 'file', path: join(folder.path, 'trace') });
  t.same(notes, []);
  const absent = await folder.plan({ lowers, recordTracePath: '/run/no/trace' });
  t.equal(absent.trace, null);
  t.match(absent.notes, [
    /config\.v1\.json: recordTracePath has no effect: the daemon records with serve --record/,
  ]);
  t.equal(absent.notes.length, 1);
  const accelerated = {
    lowers: [...lowers, {}],
    accelerationLayer: true,
    recordTracePath: 'trace',
  };
  t.equal((await folder.plan(accelerated)).trace, null, 'the acceleration layer goes first');
});

await test('half an upper is left out with a note', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd', 'u');
  for (const upper of [{ data: 'u' }, { index: 'u' }]) {
    const plan = await folder.plan({ lowers: [{ file: 'a.obd' }], upper });
    t.equal(plan.upper, null);
    t.match(plan.notes, [/config\.v1\.json: upper is left out: it needs both index and data/]);
    await t.rejects(() => folder.plan({ upper }), {
      code: 'BAD_CONFIG',
      message: /nothing to serve$/,
    });
  }
  for (const upper of [{}, { data: '', index: '' }]) {
    const plan = await folder.plan({ lowers: [{ file: 'a.obd' }], upper });
    t.equal(plan.upper, null);
    t.same(plan.notes, [], 'without an upper there is no note');
  }
});

await test('an upper alone is an image', async (t) => {
  const folder = folderOf(t);
  folder.touch('u.data', 'u.index');
  const plan = await folder.plan({ upper: { data: 'u.data', index: 'u.index' } });
  t.same(plan.lowers, []);
  t.same(plan.upper, { data: join(folder.path, 'u.data'), index: join(folder.path, 'u.index') });
});

await test('an image has up to 255 layers, including the upper', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd', 'u');
  const lowers = Array.from({ length: 255 }, () => ({ file: 'a.obd' }));
  const upper = { data: 'u', index: 'u' };
  const limit = { code: 'LIMIT', message: /: 256 layers, at most 255$/ };
  t.equal((await folder.plan({ lowers })).lowers.length, 255);
  t.equal((await folder.plan({ lowers: lowers.slice(1), upper })).lowers.length, 254);
  await t.rejects(() => folder.plan({ lowers, upper }), limit);
  await t.rejects(() => folder.plan({ lowers: [...lowers, { file: 'absent' }] }), limit);
  t.equal(
    (await folder.plan({ lowers: [...lowers, {}], accelerationLayer: true })).lowers.length,
    255,
  );
  const blob = join(folder.path, 'a.obd');
  t.equal((await planOf(Array<string>(255).fill(blob))).lowers.length, 255);
  await t.rejects(() => planOf(Array<string>(256).fill(blob)), limit);
});

await test('blobs given by name, bottom first', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd', 'b.obd');
  const [a, b] = [join(folder.path, 'a.obd'), join(folder.path, 'b.obd')];
  t.match(await planOf([a, b]), {
    name: `${a} and 1 more`,
    lowers: [a, b],
    upper: null,
    mayBeRaw: false,
  });
  t.match(await planOf([a]), { name: a, lowers: [a], mayBeRaw: true, notes: [] });
  t.same((await planOf([relative(process.cwd(), b)])).lowers, [b]);
  await t.rejects(() => planOf([]), { code: 'BAD_ARGUMENT' });
  await t.rejects(() => planOf([join(folder.path, 'absent')]), {
    code: 'NOT_FOUND',
    message: /\/absent: /,
  });
});

await test('a configuration is recognized by its brace, not its name', async (t) => {
  const folder = folderOf(t);
  folder.touch('a.obd');
  const text = JSON.stringify({ lowers: [{ file: 'a.obd' }] });
  for (const [name, content] of [
    ['plain', text],
    ['spaced.obd', `\n\t  ${text}`],
  ] as const) {
    writeFileSync(join(folder.path, name), content);
    t.same((await planOf([join(folder.path, name)])).lowers, [join(folder.path, 'a.obd')], name);
  }
  writeFileSync(join(folder.path, 'marked.json'), `\ufeff${text}`);
  const marked = await planOf([join(folder.path, 'marked.json')]);
  t.same(marked.lowers, [join(folder.path, 'a.obd')], 'with a byte order mark');
  const config = join(folder.path, 'plain');
  await t.rejects(() => planOf([join(folder.path, 'a.obd'), config]), {
    code: 'BAD_ARGUMENT',
    message: `${config}: a configuration cannot be one of several layers`,
  });
});

await test('an oversized configuration is not read, nor served as a raw disk', async (t) => {
  const folder = folderOf(t);
  writeFileSync(folder.config, `{"lowers":[]${' '.repeat(5 << 20)}}`);
  await t.rejects(() => planOf([folder.config]), {
    code: 'LIMIT',
    message: /config\.v1\.json: /,
  });
});
