// `overlaybd-nbd status`: shows the running daemon, its exports and its devices.

import type { Argv } from 'yargs';
import type {
  CacheSummary,
  DaemonStatus,
  DeviceStatus,
  ExportStatus,
  RemoteStatus,
  StuckFileStatus,
} from '../control/api.js';
import { humanSize } from '../lib/format-size.js';
import { counted } from '../lib/counted.js';
import { openingText } from '../lib/opening-progress.js';
import { printable, printableJson } from '../lib/printable.js';
import { controlClient, stateOption } from './options/client.js';
import { EXIT_FAILURE, EXIT_OK } from './exit-codes.js';
import { print } from './output.js';

export interface StatusArguments {
  state?: string | undefined;
  json?: boolean | undefined;
}

export function builder(yargs: Argv): Argv<StatusArguments> {
  return stateOption(yargs).option('json', {
    describe: 'print one JSON object instead of text',
    type: 'boolean',
  });
}

/** @returns EXIT_FAILURE if an export or a device is not served */
export async function run({ state, json }: StatusArguments): Promise<number> {
  const client = controlClient(state);
  const status = await client.status();
  const text = json ? printableJson(status) : renderStatus(status);
  await print(`${text}\n`);
  const isServed =
    status.devices.every(({ state: each }) => each === 'connected') &&
    status.exports.every(({ state: each }) => each !== 'failed');
  return isServed ? EXIT_OK : EXIT_FAILURE;
}

function stuckLine({ file, threads, seconds, exports }: StuckFileStatus): string {
  const whose = exports.map((name) => JSON.stringify(name)).join(', ') || 'none';
  const waiting = `${counted(threads, 'thread')} ${threads === 1 ? 'has' : 'have'} waited for it`;
  return `stuck: ${file}: ${waiting} for ${seconds} s; exports that need it: ${whose}`;
}

/** The status as text. */
export function renderStatus(status: DaemonStatus): string {
  const { pid, version, since, listening, clients, exports, devices, stuckFiles } = status;
  const lines = [
    printable(`overlaybd-nbd ${version}, process ${pid}, since ${since}`),
    `listening: ${listening.length > 0 ? listening.map(printable).join(' ') : 'nowhere'}`,
    `clients: ${clients}`,
    ...exports.map((each) => printable(exportLine(each))),
    ...(status.openings ?? []).map((each) =>
      printable(`opening ${each.image}: ${openingText(each)}`),
    ),
    ...cacheLines(status.cache ?? null),
    ...stuckFiles.map((each) => printable(stuckLine(each))),
    ...table(devices),
  ];
  return lines.join('\n');
}

function remoteText({
  bytes,
  cachedBytes,
  hits,
  misses,
  waiting,
  lastError,
}: RemoteStatus): string {
  const part = bytes === 0 ? 100 : Math.floor((100 * cachedBytes) / bytes);
  const reads = hits + misses;
  const parts = [
    `${part} % of ${humanSize(bytes)} cached`,
    ...(reads > 0 ? [`${Math.floor((100 * hits) / reads)} % of reads from the cache`] : []),
    ...(waiting > 0 ? [`${counted(waiting, 'read')} waiting`] : []),
    ...(lastError === null ? [] : [`last error: ${lastError}`]),
  ];
  return parts.join(', ');
}

function cacheLines(cache: CacheSummary | null): string[] {
  if (!cache) return [];
  const { folder, bytes, limit, degraded, unreachable } = cache;
  const most = limit === null ? '' : ` of ${humanSize(limit)}`;
  const why = degraded === null ? '' : `; degraded: ${degraded}`;
  return [
    printable(`cache: ${folder ?? 'in memory'}: ${humanSize(bytes)}${most}${why}`),
    ...unreachable.map(({ host, lastError }) =>
      printable(`registry ${host}: does not answer: ${lastError ?? 'no reason is known'}`),
    ),
  ];
}

/** One line about an export. Names in it may be hostile. */
export function exportLine(status: ExportStatus): string {
  const { name, state, image, description, size, problem, remote } = status;
  const head = `export ${JSON.stringify(name)}`;
  if (!problem) {
    const fetched = remote ? `; ${remoteText(remote)}` : '';
    return `${head}: ${image}: ${description}, ${size} bytes${fetched}`;
  }
  const { message, since, tries, retrySeconds } = problem;
  if (state === 'opening') return `${head}: ${message}, since ${since}`;
  const again = `${counted(tries, 'try', 'tries')} since ${since}, the next ${retrySeconds} s after the last`;
  return `${head}: failed: ${message}; ${again}`;
}

const COLUMNS: readonly (readonly [string, (device: DeviceStatus) => string])[] = [
  ['DEVICE', (each) => printable(each.device)],
  ['STATE', (each) => each.state],
  ['CONNECTIONS', (each) => `${each.liveConnections}/${each.connections}`],
  ['SINCE', (each) => each.since.replace(/\.\d+Z$/, 'Z')],
  ['REQUESTS', (each) => String(each.requests)],
  ['ERRORS', (each) => String(each.errors)],
  ['RECONNECTS', (each) => String(each.reconnects)],
  ['IMAGE', (each) => printable(each.export === null ? each.image : JSON.stringify(each.export))],
];

function table(devices: readonly DeviceStatus[]): string[] {
  if (devices.length === 0) return ['no device is attached'];
  const rows = [
    COLUMNS.map(([title]) => title),
    ...devices.map((device) => COLUMNS.map(([, text]) => text(device))),
  ];
  const widths = COLUMNS.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}
