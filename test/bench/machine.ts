// The machine and the command of a result. Facts only.
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { codecsInUse } from '../../daemon/codec/decoder.js';

const GIB = 2 ** 30;

export type Machine = Record<string, string>;

/** @param tools versions by name */
export function describeMachine(tools: Record<string, string> = {}): Machine {
  const { lz4, zstd } = codecsInUse();
  return {
    cpu: `${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown'}`,
    memory: `${(totalmem() / GIB).toFixed(0)} GiB`,
    kernel: release(),
    node: process.version,
    decoders: `${lz4}, ${zstd}`,
    ...tools,
  };
}

/** The command of this run, for documents: without options that only name output files. */
function commandLine(argv: readonly string[]): string {
  const told = argv.filter((word, i) => {
    const before = argv[i - 1] ?? '';
    return !/^--(dir|json|docs)\b/.test(word) && !/^--(dir|json)$/.test(before);
  });
  return ['npm run bench', ...(told.length > 0 ? ['--', ...told] : [])].join(' ');
}

/** One paragraph: command, day, machine. */
export function preamble(argv: readonly string[], machine: Machine): string {
  const facts = Object.entries(machine).map(([name, value]) => `${name}: ${value}`);
  const day = new Date().toISOString().slice(0, 10);
  return `\`${commandLine(argv)}\`, ${day}. ${facts.join('; ')}.`;
}
