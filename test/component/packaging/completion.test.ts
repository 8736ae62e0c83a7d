// Completion in bash and zsh with the generated scripts.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { commandFacts } from '../../../systemd/packaging/commands.js';
import { bashCompletion, zshCompletion } from '../../../systemd/packaging/completion.js';
import { mustRun, requireTool, runTool } from '../../support/tools.js';

const commands = await commandFacts();

/** $1: the script; the other words are a command line, of which the last word is completed. */
const BASH = `. "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_overlaybd_nbd
echo "\${COMPREPLY[*]}"`;

/** $1: the folder of the script, $2: a line. Types the line and TAB in an interactive zsh, and prints the result. */
const ZSH = `zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; bindkey -e; fpath=($1 \\$fpath); autoload -Uz compinit; compinit -u -D
show() { print -r -- \\"<\\$BUFFER>\\"; BUFFER=; zle accept-line }; zle -N show; bindkey '^X' show; print rea\\"\\"dy"
zpty -r shell line '*ready*'
zpty -n -w shell "$2"$'\\t\\x18'
zpty -r shell line '*<*>*'
print -r -- "\${\${line##*<}%%>*}"`;

await t.test('completion in bash', async (test) => {
  const script = join(test.testdir(), 'overlaybd-nbd');
  writeFileSync(script, bashCompletion(commands));
  const cases: [string[], string][] = [
    [['se'], 'serve'],
    [['--v'], '--version'],
    [['serve', '--lo'], '--lock-memory --log-format --log-level'],
    [['serve', '--log-level', ''], 'error warn info debug'],
    [['serve', '--log-level', '=', 'w'], 'warn'],
    [['serve', '--log-level', '='], 'error warn info debug'],
    [['serve', '--config', ''], ''],
    [['status', '--'], '--json --state --help'],
    [['warm', '--pull', ''], 'newer missing never always'],
    [['verify', 'x'], ''],
    [['cache', ''], 'ls rm gc verify'],
    [['cache', 'g'], 'gc'],
    [['cache', 'rm', ''], ''],
    [['exports', ''], 'ls add rm'],
  ];
  for (const [words, completed] of cases) {
    const args = ['-c', BASH, 'bash', script, 'overlaybd-nbd', ...words];
    const { stdout, stderr } = await runTool('bash', ['--norc', ...args]);
    test.same({ stdout, stderr }, { stdout: `${completed}\n`, stderr: '' }, words.join(' '));
  }
});

await t.test('completion in zsh', async (test) => {
  if (!requireTool(test, 'zsh')) return;
  const folder = test.testdir();
  writeFileSync(join(folder, '_overlaybd-nbd'), zshCompletion(commands));
  await mustRun('zsh', ['-n', join(folder, '_overlaybd-nbd')]);
  const cases: [string, string][] = [
    ['overlaybd-nbd veri', 'overlaybd-nbd verify '],
    ['overlaybd-nbd serve --log-l', 'overlaybd-nbd serve --log-level='],
    ['overlaybd-nbd serve --log-level=de', 'overlaybd-nbd serve --log-level=debug '],
    ['overlaybd-nbd cache ve', 'overlaybd-nbd cache verify '],
    ['overlaybd-nbd exports a', 'overlaybd-nbd exports add '],
    ['overlaybd-nbd detach --fo', 'overlaybd-nbd detach --force '],
  ];
  for (const [typed, completed] of cases) {
    const { stdout, stderr } = await runTool('zsh', ['-f', '-c', ZSH, 'zsh', folder, typed]);
    test.same({ stdout, stderr }, { stdout: `${completed}\n`, stderr: '' }, typed);
  }
});
