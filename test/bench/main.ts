// The benchmark's entry: options, image, servers, load, tables. What it does is in docs/benchmarks.md.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { messageOf } from '../../daemon/errors.js';
import { findCase } from './cases.js';
import { ImageForms } from './forms.js';
import { measureLoad } from './measure.js';
import { parseOptions, USAGE, type BenchOptions } from './options.js';
import { loadTable, memoryTable, startTable, table } from './report.js';
import { measureStart, type StartTime } from './start-time.js';
import { summarize } from './summary.js';
import { checkTools } from './tools.js';

const MIB = 1 << 20;

async function bench(options: BenchOptions): Promise<void> {
  const tools = checkTools();
  const machine = {
    cpu: `${availableParallelism()} x ${cpus()[0]?.model ?? 'unknown'}`,
    memory: totalmem(),
    kernel: release(),
    node: process.version,
    ...tools,
  };
  for (const [name, value] of Object.entries(machine)) say(`${name}: ${value}`);
  const forms = new ImageForms(options.dir, options.size, say);
  const images = options.cases.map((name) => {
    const { about, form } = findCase(name);
    return { about, size: forms.form(form).size };
  });
  const folder = mkdtempSync(join(tmpdir(), 'obd-bench-'));
  try {
    const starts: StartTime[] = options.start ? await measureStart(forms, folder) : [];
    const { samples, memory } = await measureLoad(options, forms, folder, say);
    const comparisons = summarize(samples, options.cases);
    const tables = comparisons.map(loadTable);
    tables.push(memoryTable(memory));
    if (starts.length > 0) tables.push(startTable(starts));
    const sizes = images.map(({ about, size }) => [about, (size / MIB).toFixed(0)]);
    tables.push(table([['Files served, MiB', 'size'], ...sizes]));
    console.log(`\n${tables.join('\n\n')}`);
    if (options.json !== undefined) {
      const everything = {
        date: new Date().toISOString(),
        machine,
        options,
        comparisons,
        memory,
        starts,
        samples,
      };
      writeFileSync(options.json, `${JSON.stringify(everything, null, 2)}\n`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Progress goes to stderr, so that stdout is the tables alone. */
function say(line: string): void {
  console.error(line);
}

// Servers are killed when this process exits, which a signal alone would not do.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => process.exit(code));
}

try {
  const options = parseOptions(process.argv.slice(2));
  if (options) await bench(options);
  else console.log(USAGE);
} catch (error) {
  console.error(`bench: ${messageOf(error)}`);
  // Not exitCode: servers that are left keep the process alive.
  process.exit(1);
}
