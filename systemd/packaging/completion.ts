// Completion for bash and zsh. The words are written into the scripts: asking the program itself, as yargs does, would
// start Node.js at every press of the key.
import type { CommandFacts, OptionFacts } from './commands.js';

const PROGRAM = 'overlaybd-nbd';
const HEAD = `# Completion of ${PROGRAM}. Generated: the commands of the program are its source.`;

export function bashCompletion(commands: readonly CommandFacts[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  return `${HEAD}
_overlaybd_nbd() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]} words='' each
  # bash takes "--option=value" for three words.
  if [ "$current" = = ]; then
    current=''
  elif [ "$before" = = ]; then
    before=\${COMP_WORDS[COMP_CWORD-2]}
  fi
  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    words='${names} --help --version'
  else
    case $command:$before in
${commands.flatMap(({ name, options }) => options.flatMap((option) => bashValues(name, option))).join('\n')}
    *)
      case $command:$current in
${commands.map(({ name, options }) => bashOptions(name, options)).join('\n')}
${commands.flatMap(bashActions).join('')}      detach:*)
        for each in /sys/block/nbd*/pid; do
          [ ! -e "$each" ] || each=\${each%/pid} words+=" /dev/\${each##*/}"
        done
        ;;
      esac
      ;;
    esac
  fi
  # Without words it is bash that completes names of files.
  [ -z "$words" ] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -o bashdefault -o default -F _overlaybd_nbd ${PROGRAM}
`;
}

function bashValues(command: string, { names, takes }: OptionFacts): string[] {
  if (takes === 'nothing') return [];
  const pattern = names.map((name) => `${command}:${name}`).join(' | ');
  if (names.includes('--device')) return [`    ${pattern}) words=$(compgen -G '/dev/nbd*') ;;`];
  return [
    takes === 'a value' ? `    ${pattern}) ;;` : `    ${pattern}) words='${takes.join(' ')}' ;;`,
  ];
}

function bashOptions(command: string, options: readonly OptionFacts[]): string {
  const words = options.map(({ names }) => names.at(-1) ?? '');
  return `      ${command}:-*) words='${[...words, '--help'].join(' ')}' ;;`;
}

function bashActions({ name, actions }: CommandFacts): string[] {
  if (actions.length === 0) return [];
  return [`      ${name}:*) [ "$COMP_CWORD" != 2 ] || words='${actions.join(' ')}' ;;\n`];
}

export function zshCompletion(commands: readonly CommandFacts[]): string {
  return `#compdef ${PROGRAM}
${HEAD}
_overlaybd-nbd() {
  local -a commands devices
  commands=(
${commands.map(({ name, describe }) => `    ${quoted(`${name}:${describe}`)}`).join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe -t commands command commands
    return
  fi
  devices=(/sys/block/nbd*/pid(N:h:t))
  devices=(/dev/\${^devices})
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${commands.map(zshCommand).join('\n')}
  esac
}
_overlaybd-nbd "$@"
`;
}

function zshCommand({ name, options, actions }: CommandFacts): string {
  const first = actions.length === 0 ? [] : [`'1:action:(${actions.join(' ')})'`];
  const specs = [...options.map(zshOption), `'--help[show help]'`, ...first, zshWords(name)];
  return `  ${name})
    _arguments -s \\
${specs.map((spec) => `      ${spec}`).join(' \\\n')}
    ;;`;
}

/** The words that are not options. */
function zshWords(command: string): string {
  return command === 'detach' ? `'*:device:($devices)'`.replaceAll("'", '"') : `'*:file:_files'`;
}

function zshOption({ names, describe, takes }: OptionFacts): string {
  const text = `[${describe.replaceAll(/[[\]\\:]/g, String.raw`\$&`)}]`;
  const value =
    takes === 'nothing' ? '' : `:value:${takes === 'a value' ? '_files' : `(${takes.join(' ')})`}`;
  const each = names.map((name) =>
    name.startsWith('--') && takes !== 'nothing' ? `${name}=` : name,
  );
  // An option may be given again: the last one counts, or it is repeatable.
  return each.length === 1
    ? quoted(`*${each[0]}${text}${value}`)
    : `{${each.map((name) => quoted(`*${name}`)).join(',')}}${quoted(`${text}${value}`)}`;
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
