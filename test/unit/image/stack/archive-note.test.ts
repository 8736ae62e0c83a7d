// Archives of whole images that were named as a layer.
import { test } from 'tap';
import { archiveNote } from '../../../../daemon/image/stack/archive-note.js';

const noteOf = (paths: readonly string[], format = 'tar', layers = 1): string | null => {
  type Layers = Parameters<typeof archiveNote>[0];
  const layer = { content: { kind: 'tree', format }, inner: { source: { name: '/a.tar' } } };
  const all = Array.from({ length: layers }, () => layer) as unknown as Layers;
  return archiveNote(all, [{ count: paths.length, pathOf: (i) => paths[i] as string }]);
};
const HEX = 'a'.repeat(64);

await test('an archive of docker save, and an OCI archive, are named with their form', (t) => {
  const saved =
    '/a.tar is opened as one layer of files; it looks like an archive of docker save: for the image in it, docker-archive:/a.tar';
  t.equal(noteOf(['', 'manifest.json', 'repositories']), saved);
  t.equal(noteOf(['', 'manifest.json', `${HEX}.json`, HEX, `${HEX}/layer.tar`]), saved);
  t.equal(noteOf(['', 'manifest.json', 'oci-layout', 'index.json']), saved);
  t.match(
    noteOf(['', 'manifest.json', 'repositories'], 'tar.gz, by gzip of an archive'),
    /decompress it, then docker-archive:FILE$/,
  );
  t.match(
    noteOf(['', 'oci-layout', 'index.json', 'blobs']),
    /it looks like an OCI archive: for the image in it, unpack it, then oci:DIR$/,
  );
  t.end();
});

await test('other layers have no such note', (t) => {
  t.equal(noteOf(['', 'manifest.json', 'app']), null);
  t.equal(noteOf(['', 'app/manifest.json', 'app/repositories']), null);
  t.equal(noteOf(['', 'index.json']), null);
  t.equal(noteOf(['', 'manifest.json', 'repositories'], 'tar', 2), null, 'one of several layers');
  const many = Array.from({ length: 10_001 }, (_, i) => (i === 0 ? 'repositories' : `m${i}`));
  t.equal(noteOf([...many, 'manifest.json']), null);
  t.end();
});
