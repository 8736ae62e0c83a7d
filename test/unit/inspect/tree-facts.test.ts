// What inspect says about layers of files and the file system that they become.
import { test, type Test } from 'tap';
import { imageFacts, type ImageFacts } from '../../../daemon/inspect/image-facts.js';
import { renderFacts } from '../../../daemon/inspect/render-facts.js';
import { textBytes } from '../../support/pattern.js';
import { layersOf } from '../../support/tree-layers.js';
import type { TarFile } from '../../support/ustar.js';

async function factsOf(t: Test, ...archives: TarFile[][]): Promise<ImageFacts> {
  const layers = (await layersOf(t, ...archives)).map((layer) => ({ ...layer, own: null }));
  const lowers = layers.map(({ ref }) => ref);
  const plan = {
    name: 'image',
    lowers,
    upper: null,
    trace: null,
    mayBeRaw: false,
    tocs: null,
    tocBlob: null,
    targets: null,
    notes: [],
  };
  const marks = { fingerprint: 'print', identity: '' };
  return imageFacts({ plan, layers, marks: () => Promise.resolve(marks) });
}

const bottom: TarFile[] = [
  { name: 'etc/', type: '5' },
  { name: 'etc/words', bytes: textBytes(1, 5000) },
  { name: 'etc/gone', bytes: textBytes(2, 600) },
  { name: 'link', type: '2', link: 'etc/words' },
  { name: 'null', type: '3', device: [1, 3] },
  { name: 'pipe', type: '6' },
];
const top: TarFile[] = [
  { name: 'etc/.wh.gone' },
  { name: 'var/.wh..wh..opq' },
  { name: 'hard', type: '1', link: 'etc/words' },
  { name: 'one', bytes: textBytes(3, 100) },
];

await test('layers of files', async (t) => {
  const found = await factsOf(t, bottom, top);
  t.same(
    found.layers.map(({ content, lsmt }) => [content, lsmt]),
    [
      ['files', null],
      ['files', null],
    ],
  );
  const none = { files: 0, contentBytes: 0, directories: 0, symlinks: 0, hardLinks: 0, nodes: 0 };
  t.same(
    found.layers.map(({ tree }) => tree),
    [
      {
        ...none,
        format: 'tar, by its first header',
        files: 2,
        contentBytes: 5600,
        directories: 1,
        symlinks: 1,
        nodes: 2,
        whiteouts: 0,
      },
      {
        ...none,
        format: 'tar, by its first header',
        files: 1,
        contentBytes: 100,
        hardLinks: 1,
        whiteouts: 2,
      },
    ],
  );
});

await test('the file system that they become', async (t) => {
  const found = await factsOf(t, bottom, top);
  t.same(found.erofs, {
    layoutVersion: 1,
    // sha256 of "erofs layout 1\nprint\n"
    uuid: 'a2c40345-2f83-7bdd-03ef-7ef405f24011',
    inodes: 7,
    metadataBytes: 8192,
    droppedXattrs: 0,
  });
  t.equal(found.virtualSize, 8192 + 2 * 4096 + 4096);
  t.same(found.device, {
    segments: 3,
    mappedBytes: 8192 + 5120 + 512,
    zeroedBytes: 0,
    holeBytes: found.virtualSize - 8192 - 5632,
    contributions: [
      { mappedBytes: 5120, zeroedBytes: 0 },
      { mappedBytes: 512, zeroedBytes: 0 },
    ],
  });
  t.equal(found.partitions, null);
});

await test('their text', async (t) => {
  const found = await factsOf(t, bottom, top);
  const text = renderFacts({
    ...found,
    layers: found.layers.map((each) => ({ ...each, path: 'p' })),
  });
  t.match(
    text,
    /^ {2}file system {5}EROFS for Linux 5\.4 and later, layout 1, a2c40345-2f83-7bdd-03ef-7ef405f24011$/m,
  );
  t.match(text, /^ {2}metadata {8}7 inodes, 8\.0 KiB \(8192 bytes\)$/m);
  t.match(text, /^ {2}content {9}files \(tar, by its first header\)$/m);
  t.match(
    text,
    /^ {2}others .* 1 directory, 1 symlink, 0 hard links, 2 devices and pipes, 0 whiteouts$/m,
  );
  t.notMatch(text, /uuid chain|raw disk/);
});
