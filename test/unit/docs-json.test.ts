// docs/json-output.md and docs/control-api.md: they have every key of what is printed, and no other.
import { readFileSync } from 'node:fs';
import { test } from 'tap';

/** The interfaces of what a section is about, by their files. */
const PRINTED: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  inspect: {
    'inspect/image-facts.ts': ['ImageFacts', 'DeviceFacts', 'Contribution'],
    'inspect/layer-facts.ts': [
      'TarFacts',
      'ZfileFacts',
      'PageFacts',
      'LsmtFacts',
      'IndexFacts',
      'LayerFacts',
      'TurboFacts',
    ],
    'inspect/tree-facts.ts': ['TreeFacts', 'ErofsFacts'],
    'inspect/partition-facts.ts': ['PartitionFacts'],
  },
  verify: {
    'inspect/verify-image.ts': ['VerifyReport', 'VerifiedLayer'],
    'inspect/problem-list.ts': ['Problem'],
  },
  cache: { 'cache/cached-blob.ts': ['CacheEntry', 'CacheCheck', 'Collected'] },
  'ls, tree, stat': { 'files/file-json.ts': ['FileJson'] },
};

const json = readFileSync('docs/json-output.md', 'utf8');
const sections = new Map(
  json.split(/^## /m).map((text) => [text.slice(0, text.indexOf('\n')), text] as const),
);

function keysOf(file: string, name: string): string[] {
  const source = readFileSync(`daemon/${file}`, 'utf8');
  const [, body = ''] =
    new RegExp(`interface ${name}\\b[^\n]*\\{\n(.*?)^\\}`, 'ms').exec(source) ?? [];
  return [...body.matchAll(/^\s+readonly (\w+)\??:/gm)].flatMap(([, key]) => key ?? []);
}

/** Every name within a code span: `a.b[].c` has three. */
function namesIn(text: string): string[] {
  const prose = text.replaceAll(/^```.*?^```$/gms, '');
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].flatMap(([, span]) => span ?? []);
  return spans.flatMap((span) => span.match(/\w+/g) ?? []);
}

/** Those of the first column of tables. */
function firstColumn(text: string): string[] {
  const cells = text.split('\n').map((line) => /^\| (`.*?) \|/.exec(line)?.[1] ?? '');
  return cells.flatMap(namesIn);
}

for (const [section, files] of Object.entries(PRINTED)) {
  await test(`the keys of ${section}`, async (t) => {
    const text = sections.get(section) ?? '';
    const printed = Object.entries(files).flatMap(([file, names]) =>
      names.flatMap((name) => {
        const keys = keysOf(file, name);
        t.ok(keys.length > 0, `${file}: ${name}`);
        return keys;
      }),
    );
    const documented = new Set(namesIn(text));
    t.same(
      printed.filter((key) => !documented.has(key)),
      [],
      'printed and not documented',
    );
    t.same(
      firstColumn(text).filter((key) => !printed.includes(key) && key !== 'files'),
      [],
      'documented and not printed',
    );
  });
}

await test('the keys of the control API', async (t) => {
  const source = readFileSync('daemon/control/api.ts', 'utf8');
  const keys = [...source.matchAll(/^\s+readonly (\w+)\??:/gm)].flatMap(([, key]) => key ?? []);
  const documented = new Set(namesIn(readFileSync('docs/control-api.md', 'utf8')));
  t.same(
    [...new Set(keys)].filter((key) => !documented.has(key)),
    [],
  );
});
