// The rest of a bundled program, which most runs do not need, in its own bundle (tools/split.ts). It is read with the
// first dynamic import of one of its modules. It has the modules of the start from there, so that none is there twice.

import {
  bundleIdOf,
  compileProgram,
  ID_END,
  type CompiledProgram,
  type Link,
  type Modules,
} from './compile.js';
import { OpenProgram } from './open-program.js';

/** The entry of the rest: a name that its files are named after. @param entry of the program */
export function restEntryOf(entry: string): string {
  return entry.replace(/\.js$/, '.rest.js');
}

/** What the two bundles of a program take from each other. */
export class Rest implements Link {
  /** null before it is needed. */
  program: CompiledProgram | null = null;
  readonly #entry: string;
  readonly #files: OpenProgram | Error;
  /** The digest of the rest that the start was made with. */
  #id = '';
  #start: Modules = {};
  #rest: Modules | null = null;
  readonly #taken = new Map<string, object>();

  /** Opens the rest; it is read when it is needed. @param entry of the program */
  constructor(entry: string) {
    this.#entry = restEntryOf(entry);
    this.#files = opened(this.#entry);
  }

  provide(id: string, modules: Modules): void {
    this.#id = id;
    this.#start = modules;
  }

  load(path: string): object {
    if (!this.#rest) this.#run();
    return moduleOf(this.#rest ?? {}, path);
  }

  offer(modules: Modules): void {
    this.#rest = modules;
  }

  shared(path: string, name: string): unknown {
    let taken = this.#taken.get(path);
    if (!taken) this.#taken.set(path, (taken = moduleOf(this.#start, path)));
    return (taken as Readonly<Record<string, unknown>>)[name];
  }

  #run(): void {
    if (this.#files instanceof Error) throw outside(this.#files.message);
    let files;
    try {
      files = this.#files.files();
    } catch (error) {
      throw outside((error as Error).message);
    }
    const id = bundleIdOf(Buffer.from(files.text).toString('latin1', 0, ID_END));
    if (id !== this.#id) {
      throw outside(`${this.#entry}: not of the version that runs; start the program again`);
    }
    this.program = compileProgram(files);
    this.program.run(undefined, this);
  }
}

function opened(entry: string): OpenProgram | Error {
  try {
    return new OpenProgram(entry);
  } catch (error) {
    // Most runs do without.
    return error as Error;
  }
}

function moduleOf(modules: Modules, path: string): object {
  const load = modules[path];
  if (!load) throw new Error(`${path}: not in this program`);
  return load();
}

/** Its cause is outside the program, so it has no stack. */
function outside(message: string): Error {
  return Object.assign(new Error(message), { stack: message });
}
