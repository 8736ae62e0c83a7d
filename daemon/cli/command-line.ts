// Turns argv into a command and its arguments, or into the text of --help or --version. Runs nothing.

import type { Argv } from 'yargs';
import type { OverlaybdError } from '../errors.js';
import { closest } from '../lib/closest.js';
import { COMMANDS, type Command } from './commands.js';
import {
  badArgument,
  dashed,
  namesOf,
  numbersAsText,
  settleOptions,
  type KnownOptions,
} from './options/values.js';
import { WORDS_AFTER_DASHES } from './options/inside.js';

const MAX_HELP_WIDTH = 100;
const PROGRAM = 'overlaybd-nbd';
/** The longest example whose meaning is in the same line. */
const EXAMPLE_WIDTH = 55;
/** Columns before the meaning of a longer one, at least. */
const EXAMPLE_INDENT = 6;

/** The result of parsing. */
export type Parsed =
  | { readonly kind: 'command'; readonly command: Command; readonly args: object }
  /** The text of --help or --version. */
  | { readonly kind: 'text'; readonly text: string };

/** Members of yargs that its types lack. */
interface Internals {
  getOptions(): KnownOptions & { number: string[]; string: string[] };
  getGroups(): Readonly<Record<string, readonly string[]>>;
}

/**
 * @param version reads the text of --version; called only for that
 * @throws OverlaybdError BAD_ARGUMENT
 */
export async function parseCommandLine(
  argv: readonly string[],
  version: () => Promise<string>,
): Promise<Parsed> {
  const { words, after } = withoutDashes(asOptions(argv));
  const [first, ...others] = words;
  const named = COMMANDS.find(({ usage }) => nameOf(usage) === first);
  if (first !== undefined && !named && !first.startsWith('-')) throw unknownCommand(first);
  const isForHelp = words.some((word) => word === '--help' || word === '-h');
  const text = words.includes('--version') ? await version() : '';
  if (!named || isForHelp) {
    return new CommandLine(words, null, isForHelp, after).parse(COMMANDS, text);
  }
  // Read while yargs is.
  void named.load();
  // Give yargs only this command, as the default: with several, yargs renders the whole help text before
  // it runs one, which takes a tenth of the time until `serve` serves.
  const usage = named.usage.replace(nameOf(named.usage), '$0');
  return new CommandLine(others, named, false, after).parse([{ ...named, usage }], text);
}

/** How a person gets help on a command line that is wrong. */
export function helpFor([first]: readonly string[]): string {
  const isCommand = COMMANDS.some(({ usage }) => nameOf(usage) === first);
  return `overlaybd-nbd ${isCommand ? `${first} ` : ''}--help`;
}

/** `help serve` is `serve --help`, `help help` is `--help`, and `-V` is --version, as other programs have it. */
function asOptions(argv: readonly string[]): readonly string[] {
  const [first, ...others] = argv;
  if (first === 'help') return [...(others[0] === 'help' ? others.slice(1) : others), '--help'];
  return first === '-V' ? ['--version', ...others] : argv;
}

class CommandLine {
  readonly #words: readonly string[];
  readonly #command: Command | null;
  readonly #isForHelp: boolean;
  readonly #after: number | undefined;
  #parsed: Parsed | null = null;
  #numbers: readonly string[] = [];

  /**
   * @param command whose words they are; null: the first word is to name it
   * @param after words after `--`; undefined: there is no `--`
   */
  constructor(
    words: readonly string[],
    command: Command | null,
    isForHelp: boolean,
    after: number | undefined,
  ) {
    this.#words = words;
    this.#command = command;
    this.#isForHelp = isForHelp;
    this.#after = after;
  }

  /** @param version what --version prints */
  async parse(commands: readonly Command[], version: string): Promise<Parsed> {
    const { default: yargs } = await import('yargs');
    const parser = this.#configure(yargs(this.#words), version);
    for (const command of commands) this.#add(parser, command);
    if (commands.length > 1) describeAll(parser);
    let text = '';
    try {
      await parser.parseAsync(this.#words, {}, (_error, _args, output) => {
        text = `${output}\n`;
      });
    } catch (error) {
      // Errors from reading the words. Errors in their values come through fail().
      if (!(error instanceof Error && error.name === 'YError')) throw error;
      throw this.#failure(error.message, parser);
    }
    return this.#parsed ?? { kind: 'text', text };
  }

  #add(parser: Argv, command: Command): void {
    const isOverview =
      this.#isForHelp && !COMMANDS.some(({ usage }) => nameOf(usage) === this.#words[0]);
    parser.command(
      isOverview ? shownOf(command) : command.usage,
      command.describe,
      async (yargs) => {
        const loaded = await command.load();
        const build = (to: Argv): Argv => loaded.builder(to);
        if (this.#isForHelp) return withHelp(yargs, command, build);
        const built = build(yargs);
        this.#numbers = numbersAsText(internalsOf(built).getOptions());
        return built;
      },
      (args) => {
        const dashes = this.#after === undefined ? {} : { [WORDS_AFTER_DASHES]: this.#after };
        this.#parsed = { kind: 'command', command, args: { ...args, ...dashes } };
      },
    );
  }

  #configure(parser: Argv, version: string): Argv {
    return parser
      .scriptName(PROGRAM)
      .strict()
      .version(version)
      .help()
      .alias('h', 'help')
      .detectLocale(false)
      .parserConfiguration({ 'camel-case-expansion': false, 'dot-notation': false })
      .wrap(this.#isForHelp ? helpWidth() : MAX_HELP_WIDTH)
      .exitProcess(false)
      .middleware((args) => {
        const positionals = internalsOf(parser).getGroups()['Positionals:'] ?? [];
        settleOptions(args, this.#words, this.#knownOf(parser), new Set(positionals));
      }, true)
      .fail((message, error) => {
        throw error ?? this.#failure(message, parser);
      });
  }

  /** The message of yargs in one line and in our words. */
  #failure(message: string, parser: Argv): OverlaybdError {
    const line = message.replaceAll(/\s*\n\s*/g, ' ');
    const known = this.#knownOf(parser);
    const [, given] = /^Not enough non-option arguments: got (\d+)/.exec(line) ?? [];
    if (given === undefined) return failure(line, this.#words, known);
    const unknown = unknownText(this.#words, known);
    if (unknown !== null) return badArgument(unknown);
    const { usage = '' } = this.#command ?? {};
    const lacking = usage.split(' ').filter((word) => word.startsWith('<'))[Number(given)];
    return badArgument(
      `${nameOf(usage)}: ${lacking ?? 'a word'} is missing: overlaybd-nbd ${this.#command ? shownOf(this.#command) : ''}`,
    );
  }

  #knownOf(parser: Argv): KnownOptions {
    return { ...internalsOf(parser).getOptions(), number: this.#numbers };
  }
}

/** Columns of the help text. */
function helpWidth(): number {
  // Loaded here: a start shows no help.
  const { isatty } = process.getBuiltinModule('node:tty');
  return Math.min(MAX_HELP_WIDTH, (isatty(1) && process.stdout.columns) || MAX_HELP_WIDTH);
}

function internalsOf(parser: Argv<object>): Internals {
  return parser as unknown as Internals;
}

/** The help of one command: what is its own comes first, and an example is never broken. */
function withHelp(
  yargs: Argv,
  command: Command,
  builder: (yargs: Argv) => Argv<object>,
): Argv<object> {
  const examples: (readonly [string, string])[] = [];
  const notes: string[] = [];
  const end = yargs.epilogue.bind(yargs);
  // yargs breaks the words of an example to make room for what they do.
  Object.assign(yargs, {
    example: (text: string, meaning: string): Argv => {
      examples.push([text.replace('$0', PROGRAM), meaning]);
      return yargs;
    },
    epilogue: (note: string): Argv => {
      notes.push(note);
      return yargs;
    },
  });
  yargs.usage(`$0 ${shownOf(command)} [options]\n\n${command.describe}`);
  for (const group of ['Positionals:', 'Options:']) yargs.group([], group);
  const built = builder(yargs);
  if (examples.length > 0) notes.unshift(exampleText(examples));
  if (notes.length > 0) end(notes.join('\n\n'));
  return built;
}

/** @param examples with what they do: beside them, or below one that is long */
function exampleText(examples: readonly (readonly [string, string])[]): string {
  const lengths = examples.map(([text]) => text.length).filter((length) => length <= EXAMPLE_WIDTH);
  const column = Math.max(EXAMPLE_INDENT, ...lengths);
  const lines = examples.map(([text, meaning]) => {
    const gap = text.length > column ? `\n  ${' '.repeat(column)}` : '';
    return `  ${text.padEnd(column)}${gap}  ${meaning}`;
  });
  return `Examples:\n${lines.join('\n')}`;
}

function describeAll(parser: Argv): void {
  parser
    .usage(
      '$0 <command>\n\nServes container images as read-only NBD exports: OverlayBD, eStargz, zstd:chunked, SOCI, Nydus,\ncomposefs, EROFS, tarfs and ordinary ones.',
    )
    .demandCommand(1, 'Name a command.')
    .epilogue('Exit codes: 0 done, 1 something failed or is wrong, 2 the command line is wrong.');
}

/** A line of yargs, with the closest known name for an unknown one. */
function failure(line: string, words: readonly string[], known: KnownOptions): OverlaybdError {
  const [, lacking] = /^Not enough arguments following: (.*)$/.exec(line) ?? [];
  if (lacking !== undefined) return badArgument(`${dashed(lacking)}: needs a value`);
  const [, names] = /^Unknown arguments?: (.*)$/.exec(line) ?? [];
  return badArgument(unknownText(words, known, names?.split(', ')) ?? line);
}

/** @param names what yargs does not know; without them, it has taken the word after an unknown option as its value */
function unknownText(
  words: readonly string[],
  known: KnownOptions,
  names: readonly string[] = unknownOptions(words, known),
): string | null {
  const all = namesOf(known);
  // yargs takes it as letters, each of which is an option.
  const dashedWord = words.find((word) => /^-[A-Za-z]/.test(word) && !all.has(word.charAt(1)));
  if (dashedWord !== undefined) {
    return `unknown option ${dashedWord}${dashedWord.length > 2 ? `; a file of that name is ./${dashedWord}` : ''}`;
  }
  if (names.length === 0) return null;
  return names.map((name) => unknownName(name, words, known)).join(', ');
}

function unknownOptions(words: readonly string[], known: KnownOptions): string[] {
  const all = namesOf(known);
  const names = words.map((word) => /^--(?:no-)?([^=]+)/.exec(word)?.[1]);
  return names.filter(
    (name) => name !== undefined && !all.has(name) && !all.has(`no-${name}`),
  ) as string[];
}

function unknownName(name: string, words: readonly string[], known: KnownOptions): string {
  // yargs reports `--no-name` as `name`.
  const isNegated = words.includes(`--no-${name}`);
  const isOption = words.some((word) => word === dashed(name) || word.startsWith(`--${name}=`));
  if (!isOption && !isNegated) return `unexpected argument ${JSON.stringify(name)}`;
  const options = [...namesOf(known)].filter((each) => each.length > 1);
  const near = closest(name, options);
  const no = isNegated ? '--no-' : '--';
  const written = isNegated ? `--no-${name}` : dashed(name);
  return `unknown option ${written}${near === undefined ? '' : `: did you mean ${no}${near}?`}`;
}

function unknownCommand(word: string): OverlaybdError {
  const names = COMMANDS.map(({ usage }) => nameOf(usage));
  const near = closest(word, names);
  const hint = near === undefined ? `commands: ${names.join(', ')}` : `did you mean ${near}?`;
  return badArgument(`unknown command ${JSON.stringify(word)}: ${hint}`);
}

/** Words after `--` are not options, even if they begin with a dash. yargs would drop such a word. */
function withoutDashes(argv: readonly string[]): { words: string[]; after: number | undefined } {
  const at = argv.indexOf('--');
  if (at < 0) return { words: [...argv], after: undefined };
  const rest = argv.slice(at + 1).map((word) => (word.startsWith('-') ? `./${word}` : word));
  return { words: [...argv.slice(0, at), ...rest], after: rest.length };
}

function shownOf({ usage, shown = usage }: Command): string {
  return shown;
}

function nameOf(usage: string): string {
  return usage.split(' ', 1)[0] ?? '';
}
