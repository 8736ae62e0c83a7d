// Metrics as text, in the exposition format of Prometheus. Knows no metric.

export type MetricType = 'counter' | 'gauge' | 'histogram';
export type Labels = Readonly<Record<string, string>>;

/** Not cumulative: each bucket counts the values above the bound before it. */
export interface Buckets {
  /** One more than there are bounds; the last one counts the rest. */
  readonly buckets: readonly number[];
  readonly count: number;
  readonly sum: number;
}

export class MetricsText {
  readonly #lines: string[] = [];
  #name = '';

  /** Begins a metric; the samples that follow are its own. */
  family(name: string, type: MetricType, help: string): this {
    this.#name = name;
    this.#lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    return this;
  }

  sample(value: number, labels: Labels = {}, suffix = ''): this {
    this.#lines.push(`${this.#name}${suffix}${labelText(labels)} ${value}`);
    return this;
  }

  /** @param bounds upper bounds of the buckets */
  histogram({ buckets, count, sum }: Buckets, bounds: readonly number[], labels: Labels): this {
    let below = 0;
    bounds.forEach((bound, i) => {
      below += buckets[i] ?? 0;
      this.sample(below, { ...labels, le: `${bound}` }, '_bucket');
    });
    this.sample(count, { ...labels, le: '+Inf' }, '_bucket');
    return this.sample(sum, labels, '_sum').sample(count, labels, '_count');
  }

  toString(): string {
    return `${this.#lines.join('\n')}\n`;
  }
}

function labelText(labels: Labels): string {
  const parts = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return parts.length === 0 ? '' : `{${parts.join(',')}}`;
}

/** Names of exports and hosts come from outside. */
function escaped(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
