// The licenses of the packages in a bundle: each once, from its license file or the end of its README.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import t, { type Test } from 'tap';
import { licensesOf } from '../../../../daemon/bundle/tools/licenses.js';

function packages(test: Test, files: Readonly<Record<string, string>>): string {
  const root = test.testdir();
  for (const [name, text] of Object.entries(files)) {
    const path = join(root, 'node_modules', name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  return root;
}

const manifest = (name: string): string =>
  JSON.stringify({ name, version: '1.2.3', license: 'MIT' });

await t.test('each package is listed once, modules of the project are not', (test) => {
  const root = packages(test, {
    'b/package.json': manifest('b'),
    'b/README.md': '# b\n\n## License\nAs you like.\n',
    '@s/a/package.json': manifest('@s/a'),
    '@s/a/LICENSE': 'Do what you want.\n',
    'b/node_modules/c/package.json': manifest('c'),
    'b/node_modules/c/licence.txt': 'Ask.\n',
  });
  const inputs = [
    'out/daemon/main.js',
    'node_modules/b/lib/x.js',
    'node_modules/b/y.js',
    'node_modules/@s/a/z.js',
    'node_modules/b/node_modules/c/w.js',
  ];
  test.equal(
    licensesOf(inputs, root),
    [
      '--- @s/a 1.2.3 (MIT)\n\nDo what you want.\n',
      '--- b 1.2.3 (MIT)\n\nAs you like.\n',
      '--- c 1.2.3 (MIT)\n\nAsk.\n',
    ].join('\n'),
  );
  test.end();
});

await t.test('a package without a license text is an error', (test) => {
  const root = packages(test, { 'b/package.json': manifest('b') });
  test.throws(
    () => licensesOf(['node_modules/b/x.js'], root),
    /node_modules\/b: no text of its license$/,
  );
  test.end();
});
