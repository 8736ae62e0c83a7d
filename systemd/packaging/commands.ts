// The command line as plain values: commands, their options, and the words that an option accepts. Made from the
// builders of the commands, for completion and man pages.
import yargs, { type Argv } from 'yargs';
import { COMMANDS } from '../../daemon/cli/commands.js';

export interface OptionFacts {
  /** With dashes, the short one first: "-l", "--listen". */
  readonly names: readonly string[];
  readonly describe: string;
  readonly takes: 'nothing' | 'a value' | readonly string[];
}

export interface CommandFacts {
  readonly name: string;
  /** As in its help: "attach [image..]". */
  readonly usage: string;
  readonly describe: string;
  readonly options: readonly OptionFacts[];
  /** What the first word can be; none: anything. */
  readonly actions: readonly string[];
}

/** A part of yargs that its types leave out. */
interface Internals {
  getOptions(): {
    readonly alias: Readonly<Record<string, readonly string[]>>;
    readonly choices: Readonly<Record<string, readonly string[]>>;
    readonly boolean: readonly string[];
  };
}

export async function commandFacts(): Promise<CommandFacts[]> {
  // From this yargs decides whether completions have descriptions.
  process.env['ZSH_NAME'] = 'zsh';
  const facts: CommandFacts[] = [];
  for (const { usage, shown = usage, describe, load } of COMMANDS) {
    const command = await load();
    const parser = command.builder(yargs([]).help(false).version(false).detectLocale(false));
    const name = usage.split(' ', 1)[0] ?? '';
    const { actions = [] } = command;
    facts.push({ name, usage: shown, describe, options: await options(parser), actions });
  }
  return facts;
}

async function options(parser: Argv<object>): Promise<OptionFacts[]> {
  const { alias, choices, boolean } = (parser as unknown as Internals).getOptions();
  const shorts = new Set(Object.values(alias).flat());
  const completions = await parser.getCompletion(['--']);
  const found: OptionFacts[] = [];
  for (const line of completions) {
    const [, name, describe] = /^--([^:]+):(.*)$/.exec(line) ?? [];
    if (name === undefined || describe === undefined || shorts.has(name)) continue;
    const names = [...(alias[name] ?? []).map((short) => `-${short}`), `--${name}`];
    const takes = choices[name] ?? (boolean.includes(name) ? 'nothing' : 'a value');
    found.push({ names, describe, takes });
  }
  return found.toSorted((a, b) => compare(a.names.at(-1), b.names.at(-1)));
}

function compare(a = '', b = ''): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
