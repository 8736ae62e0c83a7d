// Where a daemon is asked for metrics. It never keeps the daemon from serving: if its address is in use, as during an
// upgrade, it tries again.

import type { DaemonStatus } from '../control/api.js';
import { metricsAddressText, type MetricsAddress } from '../config/metrics-address.js';
import { messageOf } from '../errors.js';
import type { FetchStatus } from '../fetch/status.js';
import type { Logger } from '../log/logger.js';
import type { MetricsServer } from '../metrics/server.js';
import type { Daemon } from './daemon.js';

const RETRY_MS = 500;

export class MetricsPoint {
  readonly #address: MetricsAddress;
  readonly #daemon: Daemon;
  readonly #status: () => Promise<DaemonStatus>;
  readonly #fetch: () => Promise<FetchStatus | null>;
  readonly #log: Logger;
  #server: MetricsServer | null = null;
  #retry: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(
    address: MetricsAddress,
    daemon: Daemon,
    status: () => Promise<DaemonStatus>,
    fetch: () => Promise<FetchStatus | null>,
    log: Logger,
  ) {
    this.#address = address;
    this.#daemon = daemon;
    this.#status = status;
    this.#fetch = fetch;
    this.#log = log;
  }

  async start(tries = 0): Promise<void> {
    const { MetricsServer: Made } = await import('../metrics/server.js');
    if (this.#isClosed) return;
    const server = new Made({ metrics: () => this.#metrics(), status: this.#status });
    const where = metricsAddressText(this.#address);
    try {
      await server.listen(this.#address);
      this.#server = server;
      this.#log.log('info', `metrics: ${where}`);
    } catch (error) {
      if (tries === 0)
        this.#log.log('warn', `metrics: ${where}: ${messageOf(error)}; trying again`);
      this.#retry = setTimeout(() => void this.start(tries + 1), RETRY_MS).unref();
    }
    if (this.#isClosed) server.close();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#retry) clearTimeout(this.#retry);
    this.#server?.close();
  }

  async #metrics(): Promise<string> {
    const { metricsText } = await import('../metrics/collect.js');
    const { reactors } = this.#daemon;
    const [status, fetch, { open, waits, spins, decoding }] = await Promise.all([
      this.#status(),
      this.#fetch(),
      reactors.measure(),
    ]);
    const { counters } = reactors;
    return metricsText({
      status,
      fetch,
      totals: counters.totals(open.values()),
      failures: counters.failures,
      waits,
      spins,
      decoding,
    });
  }
}
