// The benchmark's entry: options, image, one of the modes. What it does is in docs/benchmarks/README.md.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../daemon/errors.js';
import { check } from './check.js';
import { writeDocument, type Document } from './docs.js';
import { formatsDocument, formatsTables, measureFormats } from './formats/formats.js';
import { ImageForms } from './forms.js';
import { goalsText, loadDocument, loadTables, measureLoad } from './load.js';
import { describeMachine, preamble } from './machine.js';
import { measureMicro, microDocument, microTables } from './micro.js';
import { parseOptions, USAGE, type BenchOptions } from './options.js';
import {
  measureCached,
  measureRegistry,
  registryDocument,
  registryTables,
} from './registry/registry.js';
import { cachedTable } from './registry/tables.js';
import { soak, soakDocument, soakTable } from './soak.js';
import { checkTools, LOAD_TOOLS, REGISTRY_TOOLS } from './tools.js';

/** The results of a mode. */
interface Outcome {
  text: string;
  good: boolean;
  /** For --json. */
  data: object;
  document: Document | undefined;
}

const argv = process.argv.slice(2);
// Node.js 20 reads these certificates whenever it starts. No server has clients that need them, and start times would
// depend on whether the machine has them.
delete process.env['NODE_EXTRA_CA_CERTS'];

async function bench(options: BenchOptions): Promise<boolean> {
  const machine = describeMachine(toolsOf(options));
  for (const [name, value] of Object.entries(machine)) say(`${name}: ${value}`);
  const folder = mkdtempSync(join(tmpdir(), 'obd-bench-'));
  try {
    const { text, good, data, document } = await run(options, folder, machine);
    console.log(`\n${text}`);
    if (options.json !== undefined) {
      const everything = { date: new Date().toISOString(), machine, options, ...data };
      writeFileSync(options.json, `${JSON.stringify(everything, null, 2)}\n`);
    }
    if (options.docs && document) writeDocument(document);
    return good;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function run(
  options: BenchOptions,
  folder: string,
  machine: Record<string, string>,
): Promise<Outcome> {
  const about = preamble(argv, machine);
  if (options.mode === 'micro') {
    const result = measureMicro(say);
    const document = microDocument(result, about, machine);
    return { text: microTables(result), good: true, data: result, document };
  }
  if (options.mode === 'formats') {
    const result = await measureFormats(options, folder, say);
    const document = formatsDocument(result, about, machine);
    return { text: formatsTables(result).join('\n\n'), good: true, data: result, document };
  }
  const forms = new ImageForms(options.dir, options.size, say);
  switch (options.mode) {
    case 'check': {
      const { text, good } = await check(options, forms, folder, say);
      return { text, good, data: {}, document: undefined };
    }
    case 'registry': {
      if (options.only === 'cached') {
        const cached = await measureCached(options, forms, folder, say);
        return { text: cachedTable(cached), good: true, data: { cached }, document: undefined };
      }
      const result = await measureRegistry(options, forms, folder, say);
      const document = registryDocument(result, about, machine);
      return { text: registryTables(result).join('\n\n'), good: true, data: result, document };
    }
    case 'soak': {
      const result = await soak(forms, folder, options.soakSeconds, say);
      const good = result.growth.every((each) => each.good);
      const document = soakDocument(result, about, machine);
      return { text: soakTable(result), good, data: result, document };
    }
    case 'load': {
      const result = await measureLoad(options, forms, folder, say);
      const text = [...loadTables(result), goalsText(result)].join('\n\n');
      return { text, good: true, data: result, document: loadDocument(result, about, machine) };
    }
  }
}

function toolsOf({ mode, only }: BenchOptions): Record<string, string> {
  if (mode === 'micro') return {};
  const isRemote = (mode === 'registry' && only === null) || mode === 'formats';
  return checkTools(isRemote ? REGISTRY_TOOLS : LOAD_TOOLS);
}

/** Progress goes to stderr, so that stdout is the tables alone. */
function say(line: string): void {
  console.error(line);
}

// Servers are killed when this process exits; a signal alone would not do that.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => process.exit(code));
}

try {
  const options = parseOptions(argv);
  if (!options) {
    console.log(USAGE);
  } else if (!(await bench(options))) {
    console.error('bench: a bound was missed, see the table');
    process.exit(1);
  }
} catch (error) {
  console.error(`bench: ${messageOf(error)}`);
  // Not exitCode: remaining servers would keep the process alive.
  process.exit(1);
}
