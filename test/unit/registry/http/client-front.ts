// A client of registries against the fault front, with limits that make tests short and no files of this machine.
import type { Test } from 'tap';
import {
  DEFAULT_REGISTRY_SETTINGS,
  type RegistrySettings,
} from '../../../../daemon/config/registry-settings.js';
import { monotonicMs } from '../../../../daemon/lib/clock.js';
import { RegistryClient, type ClientSeams } from '../../../../daemon/registry/http/client.js';
import { Counters } from '../../../../daemon/registry/http/counters.js';
import { DEFAULT_LIMITS, type HttpLimits } from '../../../../daemon/registry/http/limits.js';
import type { FaultFront } from '../../../support/registry/fault-front.js';
import { BLOB, DIGEST, REPOSITORY } from '../../support/registry/front-client.js';

/** Times that a busy machine keeps: long for what must not end early, short for what is repeated. */
export const TEST_LIMITS: HttpLimits = {
  ...DEFAULT_LIMITS,
  backoffFirstMs: 1,
  backoffMostMs: 5,
  probeFirstMs: 20,
  probeMostMs: 40,
  goneMs: 0,
  noRangesMs: 0,
  refusedMs: 0,
  filesMs: 0,
};

export interface TestClient {
  readonly client: RegistryClient;
  readonly counters: Counters;
  readonly lines: string[];
  /** Reads bytes of the blob, both inclusive. Fails if a byte comes twice or out of order. */
  readonly range: (first: number, last: number, options?: RangeOptions) => Promise<Buffer>;
}

export interface RangeOptions {
  readonly deadlineMs?: number;
  readonly fromOrigin?: boolean;
  readonly signal?: AbortSignal;
  readonly size?: number;
  readonly digest?: string;
  /** Of the registry; that of the front if left out. */
  readonly host?: string;
}

/** @param base limits that differ from the client's own, if `limits` does not say otherwise */
export function clientOf(
  t: Test,
  front: FaultFront,
  settings: Partial<RegistrySettings> = {},
  { limits, ...seams }: Partial<ClientSeams> = {},
  base: Partial<HttpLimits> = TEST_LIMITS,
): TestClient {
  const lines: string[] = [];
  const counters = new Counters();
  // A deadline by another clock has passed already where the machine has run for less time than a test's clock says.
  const now = seams.now ?? monotonicMs;
  const client = new RegistryClient(
    { ...DEFAULT_REGISTRY_SETTINGS, plainHttp: [front.host], ...settings },
    {
      env: { HOME: '/proc/nonexistent' },
      log: (line) => lines.push(line),
      counters,
      limits: { ...base, ...limits },
      ...seams,
    },
  );
  t.teardown(() => client.close());
  const range = async (
    first: number,
    last: number,
    options: RangeOptions = {},
  ): Promise<Buffer> => {
    const {
      deadlineMs = 60_000,
      fromOrigin = false,
      size = BLOB.length,
      digest = DIGEST,
      host = front.host,
    } = options;
    const ref = {
      kind: 'registry',
      host,
      repository: REPOSITORY,
      digest,
      size,
    } as const;
    const pieces: Buffer[] = [];
    let next = first;
    await client.fetchRange(
      { ref, first, last, class: 'demand', deadlineMs: now() + deadlineMs, fromOrigin },
      (offset, bytes) => {
        if (offset !== next) throw new Error(`byte ${offset} came, not ${next}`);
        next += bytes.length;
        pieces.push(Buffer.from(bytes));
      },
      options.signal ?? new AbortController().signal,
    );
    return Buffer.concat(pieces);
  };
  return { client, counters, lines, range };
}
