// Every option of every command, as its builder declares it: the last value counts, and unknown words are errors. New
// options are covered without a change here. The checks of values are the same code for all commands.
import t, { type Test } from 'tap';
import yargs from 'yargs';
import { helpFor, parseCommandLine } from '../../../daemon/cli/command-line.js';
import { COMMANDS, type Command } from '../../../daemon/cli/commands.js';
import { namesOf, type KnownOptions } from '../../../daemon/cli/options/values.js';
import { isLong } from '../../support/long-tests.js';

/** An empty value of these options means the default export. */
const MAY_BE_EMPTY = ['export', 'e'];

const noVersion = (): Promise<string> => Promise.resolve('1');

async function valuesOf(words: readonly string[]): Promise<Record<string, unknown>> {
  const parsed = await parseCommandLine(words, noVersion);
  if (parsed.kind !== 'command') throw new Error(`${words.join(' ')}: printed ${parsed.text}`);
  return parsed.args as Record<string, unknown>;
}

/** Words that the command needs besides its options. */
function start({ usage }: Command): string[] {
  const [name = '', ...positionals] = usage.split(' ');
  return [name, ...positionals.filter((each) => each.startsWith('<')).map((_, i) => `word${i}`)];
}

interface Declared {
  readonly command: Command;
  readonly known: KnownOptions;
  /** Options by their first name; without --help and --version. */
  readonly names: readonly string[];
}

async function declared(command: Command): Promise<Declared> {
  const parser = yargs([]).help(false).version(false);
  (await command.load()).builder(parser);
  const internals = parser as unknown as {
    getOptions(): KnownOptions;
    getGroups(): Record<string, readonly string[]>;
  };
  const known = internals.getOptions();
  const positionals = internals.getGroups()['Positionals:'] ?? [];
  const names = [...namesOf(known)].filter((name) => !positionals.includes(name));
  return { command, known, names };
}

const all: readonly Declared[] = await Promise.all(COMMANDS.map(declared));

function optionsOf(name: string): readonly string[] {
  return all.find(({ command }) => command.usage.split(' ')[0] === name)?.names ?? [];
}

/**
 * What decides how yargs reads an option: one option of each kind gets all checks, the others the first. With
 * $OVERLAYBD_LONG_TESTS each name that is declared in another way gets all.
 */
function kindOf(name: string, { alias, array, boolean, number, choices }: KnownOptions): string {
  const kinds = [array, boolean, number].map((each) => each.includes(name));
  const aliases = alias[name] ?? [];
  const form = [name.length === 1, MAY_BE_EMPTY.includes(name), ...kinds];
  return isLong
    ? JSON.stringify([name, aliases, kinds, choices[name] ?? []])
    : JSON.stringify([...form, aliases.map((each) => each.length), choices[name] !== undefined]);
}

const checked = new Set<string>();

/** An option that gets one check. */
interface Other {
  readonly name: string;
  readonly words: readonly string[];
  readonly value: unknown;
}

function otherOf(name: string, option: string, known: KnownOptions): Other {
  if (known.boolean.includes(name)) return { name, words: [option], value: true };
  const isNumber = known.number.includes(name);
  const text = known.choices[name]?.[0] ?? (isNumber ? '1' : 'a');
  const value = isNumber ? Number(text) : text;
  return { name, words: [option, text], value: known.array.includes(name) ? [value] : value };
}

/** No option is under two names in one part. */
function inParts(others: readonly Other[]): Other[][] {
  const parts: Other[][] = [];
  for (const short of [false, true]) {
    const alike = others.filter(({ name }) => (name.length === 1) === short);
    for (let at = 0; at < alike.length; at += 10) parts.push(alike.slice(at, at + 10));
  }
  return parts;
}

for (const { command, known, names } of all) {
  const words = start(command);
  const refuses = async (test: Test, extra: readonly string[]): Promise<void> => {
    const line = [...words, ...extra];
    await test.rejects(valuesOf(line), { code: 'BAD_ARGUMENT' }, line.join(' '));
  };

  const others: Other[] = [];
  for (const name of names) {
    const option = name.length === 1 ? `-${name}` : `--${name}`;
    const kind = kindOf(name, known);
    const isChecked = checked.has(kind);
    checked.add(kind);
    if (isChecked && !isLong) {
      others.push(otherOf(name, option, known));
      continue;
    }
    await t.test(`${words[0]} ${option}`, async (test) => {
      const valueOf = async (extra: readonly string[]): Promise<unknown> => {
        const values = await valuesOf([...words, ...extra]);
        for (const other of known.alias[name] ?? []) {
          test.same(values[other], values[name], `${option} is --${other}`);
        }
        return values[name];
      };
      if (known.boolean.includes(name)) {
        test.equal(await valueOf([option]), true);
        if (isChecked) return;
        await refuses(test, [`${option}=maybe`]);
        test.equal(await valueOf([option, option]), true);
        await refuses(test, [`${option}=`]);
        if (name.length === 1) return;
        test.equal(await valueOf([`--no-${name}`]), false);
        test.equal(await valueOf([option, `--no-${name}`]), false);
        test.equal(await valueOf([`--no-${name}`, option]), true);
        return;
      }
      const choices = known.choices[name];
      const isNumber = known.number.includes(name);
      const [one, two] = choices
        ? [choices[0], choices.at(-1)]
        : isNumber
          ? ['1', '2']
          : ['a', 'b'];
      if (one === undefined || two === undefined) throw new Error('no choices');
      const value = (text: string): unknown => (isNumber ? Number(text) : text);
      const isArray = known.array.includes(name);
      test.same(await valueOf([option, one]), isArray ? [one] : value(one));
      if (isChecked) return;
      await refuses(test, [option]);
      test.same(await valueOf([option, one, option, two]), isArray ? [one, two] : value(two));
      test.same(await valueOf([option, two, option, one]), isArray ? [two, one] : value(one));
      test.same(await valueOf([option, two, option, two]), isArray ? [two, two] : value(two));
      const aliased = known.alias[name]?.[0];
      if (aliased !== undefined && !isArray) {
        const other = aliased.length === 1 ? `-${aliased}` : `--${aliased}`;
        test.same(await valueOf([option, one, other, two]), value(two), 'under both names');
      }
      await refuses(test, [option, one, option]);
      if (name.length > 1) {
        await refuses(test, [`--no-${name}`]);
        await refuses(test, [option, one, `--no-${name}`]);
        await refuses(test, [`${option}.x`, one]);
      }
      if (!isArray && MAY_BE_EMPTY.includes(name)) {
        test.equal(await valueOf([option, '']), '');
      } else if (!MAY_BE_EMPTY.includes(name)) {
        await refuses(test, [option, '']);
        await refuses(test, [option, one, option, '']);
      }
      if (choices) await refuses(test, [option, `${one}x`]);
      for (const wrong of isNumber ? ['x', '0x10', '1e3', 'Infinity', 'NaN', ' 1', '1,5'] : []) {
        await refuses(test, [option, wrong]);
      }
    });
  }

  await t.test(`${words[0]}: the other options have their values`, async (test) => {
    for (const some of inParts(others)) {
      // Several in one line, unless they exclude each other.
      const line = [...words, ...some.flatMap((each) => each.words)];
      const together = await valuesOf(line).catch(() => null);
      for (const { name, words: own, value } of some) {
        const values = together ?? (await valuesOf([...words, ...own]));
        for (const each of [name, ...(known.alias[name] ?? [])]) {
          test.same(values[each], value, own.join(' '));
        }
      }
    }
  });

  await t.test(`${words[0]}: unknown options and values are refused`, async (test) => {
    await refuses(test, ['--nonsense']);
    await refuses(test, ['--nonsense=1']);
    await refuses(test, ['-7y']);
    for (const positional of ['image', 'dir', 'device'].filter((each) => !names.includes(each))) {
      await refuses(test, [`--${positional}`, 'x']);
    }
  });
}

await t.test('all commands exist, and options that security depends on are declared', (test) => {
  for (const each of ['tls', 'tls-ca', 'tls-psk', 'allow-user', 'socket-mode', 'log-level']) {
    test.ok(optionsOf('serve').includes(each), each);
  }
  test.ok(optionsOf('attach').includes('state'));
  test.ok(optionsOf('mount').includes('device'));
  test.ok(optionsOf('attach-helper').includes('allow-user'));
  test.end();
});

await t.test('typical typing mistakes are refused', async (test) => {
  const cases: [string, RegExp][] = [
    ['srve x', /^unknown command "srve": did you mean serve\?$/],
    ['moutn x y', /^unknown command "moutn": did you mean mount\?$/],
    ['frobnicate', /^unknown command "frobnicate": commands: serve, inspect, /],
    ['serve x --log-levle debug', /^unknown option --log-levle: did you mean --log-level\?$/],
    ['inspect --jsno x', /^unknown option --jsno: did you mean --json\?$/],
    ['umount --lzy x', /^unknown option --lzy: did you mean --lazy\?$/],
    ['--versoin', /^unknown option --versoin: did you mean --version\?$/],
    ['status --jsno', /^unknown option --jsno: did you mean --json\?$/],
    ['status --frobnicate', /^unknown option --frobnicate$/],
    ['status --no-frobnicate', /^unknown option --no-frobnicate$/],
    ['status --no-jsno', /^unknown option --no-jsno: did you mean --no-json\?$/],
    ['status web', /^unexpected argument "web"$/],
    [
      'serve x --tls required',
      /^--tls "required": not one of off, on, require; did you mean require\?$/,
    ],
    ['serve x --threads', /^--threads: needs a value$/],
    ['serve x --no-tls', /^--no-tls: leave --tls out instead$/],
    ['serve --image x', /^--image: is not an option: write the value without --image$/],
    ['mount a b --fuse --device nbd1', /^--fuse and --device are mutually exclusive$/],
    ['inspect', /^inspect: <image\.\.> is missing: overlaybd-nbd inspect <image\.\.>$/],
    ['cat config', /^cat: <path\.\.> is missing: overlaybd-nbd cat <image> <path\.\.>$/],
    ['cache', /^cache: <action> is missing: /],
    [
      'verify -dash/config',
      /^unknown option -dash\/config; a file of that name is \.\/-dash\/config$/,
    ],
    ['verify --nonsense', /^unknown option --nonsense$/],
    ['-X', /^unknown option -X$/],
    ['help srve', /^unknown command "srve": did you mean serve\?$/],
    ['serve x -l a --stdio --allow-user 1', /^--stdio and --listen are mutually exclusive$/],
  ];
  for (const [line, message] of cases) {
    await test.rejects(valuesOf(line.split(' ')), { message }, line);
  }
});

await t.test('a wrong command line names the help of its command', (test) => {
  test.equal(helpFor(['serve', '--nonsense']), 'overlaybd-nbd serve --help');
  test.equal(helpFor(['nonsense']), 'overlaybd-nbd --help');
  test.equal(helpFor([]), 'overlaybd-nbd --help');
  test.end();
});

await t.test('a word after -- is not an option', async (test) => {
  const { image, json } = await valuesOf(['inspect', '--json', '--', '-x', 'y', '--json']);
  test.same(image, ['./-x', 'y', './--json']);
  test.equal(json, true);
});

async function helpOf(...words: readonly string[]): Promise<string> {
  const parsed = await parseCommandLine([...words, '--help'], () => Promise.resolve(''));
  return parsed.kind === 'text' ? parsed.text : '';
}

await t.test('the help of a command begins with what is its own', async (test) => {
  for (const { usage } of COMMANDS) {
    const [name = ''] = usage.split(' ');
    const help = await helpOf(name);
    test.match(help, new RegExp(`^overlaybd-nbd ${name}.* \\[options\\]\n\n`), name);
    const groups = [...help.matchAll(/^(\w+):$/gm)].map(([, group]) => group);
    const own = groups.filter((group) => group === 'Positionals' || group === 'Options');
    test.same(groups.slice(0, own.length), own, `${name}: ${groups.join(', ')}`);
  }
  test.match(await helpOf('cp'), /^overlaybd-nbd cp <image> <path\.\.> <dest> \[options\]\n/);
  test.match(
    await helpOf('exports'),
    /^ {2}overlaybd-nbd exports add web registry\.example\/web:1 {2}serve/m,
  );
});

await t.test('the help of all commands has the words of each', async (test) => {
  const help = await helpOf();
  test.match(help, /^ {2}overlaybd-nbd cp <image> <path\.\.> <dest> +copy files/m);
  test.match(help, /^ {2}overlaybd-nbd mount <image\.\.> <dir> +mount the/m);
});

await t.test('the help of cache has the options of the cache alone', async (test) => {
  const help = await helpOf('cache');
  test.match(help, '--cache-dir');
  test.notMatch(help, /--mirror|--registry-ca|--fetch-deadline/);
  test.match(await valuesOf(['cache', 'ls', '--offline']), { offline: true });
});

await t.test('--help and --version print their texts', async (test) => {
  for (const line of [
    ['--help'],
    ['serve', '--help'],
    ['serve', '-h', '--nonsense'],
    ['help'],
    ['help', 'serve'],
    ['help', 'help'],
    ['help', '--help'],
    ['help', 'help', 'serve'],
    ['--version'],
    ['-V'],
  ]) {
    const parsed = await parseCommandLine(line, () => Promise.resolve('version 7'));
    if (parsed.kind !== 'text') throw new Error(line.join(' '));
    test.match(
      parsed.text,
      /^(--version|-V)$/.test(line[0] ?? '') ? 'version 7' : 'Options:',
      line.join(' '),
    );
    test.match(parsed.text, /[^\n]\n$/);
  }
});
