// Decode floors: what one thread reaches that checks and decodes the blocks of the same ZFile and does nothing else
// (programs/zfile-floor.cc), measured in the rounds of the servers. What a server adds is the difference.
import type { FloorName, RowName } from './cases.js';
import type { FormName, ImageForms } from './forms.js';
import { runProgram } from './programs.js';
import { makeSample, type Sample } from './sample.js';
import type { Work } from './works.js';

interface Floor {
  readonly name: FloorName;
  readonly form: FormName;
  /** The library of the system that decodes. */
  readonly library: string;
}

const FLOORS: readonly Floor[] = [
  { name: 'floor-lz4', form: 'lz4', library: 'liblz4.so.1' },
  { name: 'floor-zstd', form: 'zstd', library: 'libzstd.so.1' },
];

/** What the program exits with if there is no such library. */
const NO_LIBRARY = 3;
/** Reading the file takes most of it. */
const GRACE_MS = 120_000;

interface FloorOutput {
  /** Plain MB/s. */
  rate: number;
  /** Random reads a second, of two blocks each. */
  iops: number;
}

export class Floors {
  readonly #program: string;
  readonly #forms: ImageForms;
  readonly #say: (line: string) => void;
  readonly #wanted: readonly Floor[];
  readonly #lacking = new Set<FloorName>();

  /**
   * @param program path of zfile-floor
   * @param wanted the floors that are measured
   */
  constructor(
    program: string,
    forms: ImageForms,
    say: (line: string) => void,
    wanted: readonly RowName[] = FLOORS.map(({ name }) => name),
  ) {
    this.#wanted = FLOORS.filter(({ name }) => wanted.includes(name));
    this.#program = program;
    this.#forms = forms;
    this.#say = say;
  }

  /** Those that this machine has; after the first round. */
  get names(): FloorName[] {
    return this.#wanted.map(({ name }) => name).filter((name) => !this.#lacking.has(name));
  }

  /**
   * Measures each floor once, and gives it to every work that it bounds: random reads of 4 KiB with many in flight, and
   * sequential ones. One request at a time is no work for it: most of its time is the way to the server and back.
   */
  async measure(works: readonly Work[], seconds: number, round: number): Promise<Sample[]> {
    const bounded = works.filter(({ depth }) => depth > 1);
    const samples: Sample[] = [];
    if (bounded.length === 0) return samples;
    for (const { name, form, library } of this.#wanted) {
      if (this.#lacking.has(name)) continue;
      const [file = ''] = this.#forms.form(form).files;
      const timeout = Math.round(seconds * 1000) + GRACE_MS;
      const options = { timeout, lacking: NO_LIBRARY };
      const output = await runProgram<FloorOutput>(this.#program, [file, `${seconds}`], options);
      if (output === null) {
        this.#say(`NOT MEASURED: the decode floor ${name}: this machine has no ${library}`);
        this.#lacking.add(name);
        continue;
      }
      for (const work of bounded) samples.push(sampleOf(name, work, round, output, seconds));
    }
    return samples;
  }
}

function sampleOf(
  server: FloorName,
  { name: work, pattern, blockSize }: Work,
  round: number,
  output: FloorOutput,
  seconds: number,
): Sample {
  const iops = pattern === 'read' ? (output.rate * 1e6) / blockSize : output.iops;
  const requests = iops * seconds;
  const [p50, p99] = [1e6 / iops, 1e6 / iops];
  const result = { requests, iops, p50, p99, rate: (iops * blockSize) / 1e6 };
  return makeSample({ server, work, round, result, cpuSeconds: seconds });
}
