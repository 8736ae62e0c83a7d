// The exports of a reactor by name, with the default one. Clients see those that are not hidden.

import type { ExportTable, NbdExport } from '../nbd/export.js';

export class ExportMap implements ExportTable {
  readonly #byName: ReadonlyMap<string, NbdExport>;
  readonly #hidden: ReadonlyMap<string, NbdExport>;
  /** Error codes by name of the export. */
  readonly #failed: ReadonlyMap<string, string>;

  constructor(
    exports: readonly NbdExport[],
    hidden: readonly NbdExport[] = [],
    failed: ReadonlyMap<string, string> = new Map(),
  ) {
    this.#byName = new Map(exports.map((each) => [each.name, each]));
    this.#hidden = new Map(hidden.map((each) => [each.name, each]));
    this.#failed = failed;
  }

  /** The export with exactly this name, hidden or not. */
  exact(name: string): NbdExport | undefined {
    return this.#hidden.get(name) ?? this.#byName.get(name);
  }

  /** The empty name means the only export, when there is only one, failed ones included. */
  find(name: string): NbdExport | undefined {
    const found = this.#byName.get(name);
    if (found || name !== '' || this.#byName.size + this.#failed.size !== 1) return found;
    return this.#byName.values().next().value;
  }

  failure(name: string): string | undefined {
    const code = this.#failed.get(name);
    if (code !== undefined || name !== '' || this.#byName.size + this.#failed.size !== 1)
      return code;
    return this.#failed.values().next().value;
  }

  list(): Iterable<NbdExport> {
    return this.#byName.values();
  }

  /** A map of only these exports; the others do not count for the default export either. */
  only(names: readonly string[]): ExportMap {
    const visible = new Set(names);
    return new ExportMap(
      [...this.#byName.values()].filter(({ name }) => visible.has(name)),
      [],
      new Map([...this.#failed].filter(([name]) => visible.has(name))),
    );
  }
}
