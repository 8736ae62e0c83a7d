// The parts of a daemon that serve: images, reactors and clients. Starts them, reloads and ends them in
// order.

import type { RegistrySettings } from '../config/registry-settings.js';
import type { TlsFiles } from '../config/tls-config.js';
import { Fetcher } from '../fetch/fetcher.js';
import { FetcherRemote } from '../fetch/remote.js';
import { OverlaybdError } from '../errors.js';
import type { ImageSource } from '../image/plan/image-source.js';
import type { CopyMender } from '../image/copy-mender.js';
import type { FailedFiles } from '../image/failed-files.js';
import type { HeldImage } from '../image/open-images.js';
import type { OpenImage } from '../opener/opener.js';
import { hasHints, isOfFiles, isRemote } from '../image/disks/spec.js';
import { ImageTable, type ExportSources } from '../image/table.js';
import { Clients, type ListenOptions } from '../listen/clients.js';
import type { Logger } from '../log/logger.js';
import { ClientLog } from '../reactor/client-log.js';
import type { ReadFailureReport } from '../reactor/messages.js';
import { ReactorPool } from '../reactor/pool.js';
import type { TlsSettings } from '../reactor/tls-settings.js';
import type { TraceOptions, Traces } from './traces.js';
import { checkSpareDescriptors, explainDescriptors } from './descriptor-limit.js';

/** What to serve and where. */
export interface DaemonOptions extends ListenOptions {
  readonly exports: ExportSources;
  /** Whether one image that cannot be opened keeps all from being served, and odd ones are refused. */
  readonly strict: boolean;
  /** Whether the daemon does not start without the export of that name. */
  readonly mustOpen: (name: string) => boolean;
  readonly threads: number;
  /** How long a thread looks for the next request before it sleeps; 0: it sleeps at once. */
  readonly spinMicroseconds: number;
  /** null: without TLS. */
  readonly tls: TlsFiles | null;
  readonly registries: RegistrySettings;
  readonly traces: TraceOptions;
}

/** What can be read again while we serve. */
export type ServedOptions = Pick<DaemonOptions, 'exports' | 'tls' | 'registries'>;

type ReadPlace = Pick<ReadFailureReport, 'export' | 'offset' | 'length'>;

export class Daemon {
  readonly reactors: ReactorPool;
  readonly images: ImageTable;
  readonly fetcher: Fetcher;
  #registries: RegistrySettings;
  readonly clients: Clients;
  readonly #log: Logger;
  #tlsRequired: boolean;
  readonly #strict: boolean;
  readonly #clientLog: ClientLog;
  #traces: Traces | null = null;
  #isStopping = false;
  #released: Promise<void> | null = null;
  #failedFiles: Promise<FailedFiles> | null = null;
  #mender: Promise<CopyMender> | null = null;

  private constructor(
    { threads, spinMicroseconds, strict, registries }: DaemonOptions,
    tls: TlsSettings | null,
    log: Logger,
  ) {
    this.#log = log;
    this.#strict = strict;
    this.#clientLog = new ClientLog(log, undefined, {
      nameOf: (name) => this.images.nameOf(name),
      filesOf: (read) => this.#filesOf(read),
      failed: (report) => this.#mend(report),
    });
    this.#tlsRequired = tls?.mode === 'require';
    this.#registries = registries;
    this.fetcher = new Fetcher(registries, log);
    const remote = new FetcherRemote(this.fetcher, () => this.#registries);
    this.reactors = new ReactorPool(threads, tls, log, this.#clientLog, () => remote.connect());
    this.reactors.setSpin(spinMicroseconds);
    this.clients = new Clients(this.reactors, this.#clientLog);
    this.images = new ImageTable(
      log,
      (exports, failed) => this.reactors.setExports(exports, failed),
      strict,
      undefined,
      remote,
      (image) => void this.#prefetch(image),
    );
  }

  /** @returns null if the image is not made of layers of files */
  #filesOf({ export: name, offset, length }: ReadPlace): Promise<string | null> | null {
    const disk = this.images.diskOf(name);
    if (!disk || !isOfFiles(disk)) return null;
    // Loaded when the first read fails.
    this.#failedFiles ??= import('../image/failed-files.js').then(
      ({ FailedFiles }) => new FailedFiles(),
    );
    return this.#failedFiles.then((files) => files.of(disk, offset, length));
  }

  /** A decoded copy of a layer that is damaged is made right. */
  #mend(report: ReadFailureReport): void {
    const held = this.images.heldOf(report.export);
    if (!held || !isOfFiles(held.image.disk) || this.#isStopping) return;
    this.#mender ??= import('../image/copy-mender.js').then(
      ({ CopyMender }) => new CopyMender(this.images, this.#log),
    );
    void this.#mender.then((mender) => mender.failed(held, report));
  }

  /**
   * Makes the parts. Nothing is open.
   * @throws OverlaybdError BAD_CONFIG when a file for TLS cannot be used
   */
  static async make(options: DaemonOptions, log: Logger): Promise<Daemon> {
    return new Daemon(options, await readTls(options.tls, log), log);
  }

  /**
   * Opens everything and serves. Images that cannot be opened are tried again, others are served.
   * @throws OverlaybdError when a listener cannot be opened, or an image that must, BUSY when the daemon was stopped
   *   meanwhile; nothing is left running
   */
  async open({ exports, mustOpen, traces, ...options }: DaemonOptions): Promise<void> {
    try {
      this.clients.check(options);
      await this.images.setExports(exports, mustOpen);
      if (this.#isStopping) throw new OverlaybdError('BUSY', 'the daemon is stopping');
      await this.clients.listen(options);
      await this.reactors.started;
      checkSpareDescriptors();
      await this.#startTraces(traces);
    } catch (error) {
      if (!this.#isStopping) await this.#release();
      throw explainDescriptors(error);
    }
  }

  /** How it talks to registries now. */
  get registries(): RegistrySettings {
    return this.#registries;
  }

  /** Whether it records a trace into the file of its options. */
  get isTracing(): boolean {
    return this.#traces?.isRecording ?? false;
  }

  /** How long a read may wait for a registry. */
  readonly fetchDeadlineSeconds = (): number => this.#registries.fetchDeadline;

  /** Where clients find the daemon: NBD URIs, with the names of activated sockets. */
  get listening(): string[] {
    const { titles } = this.clients;
    return this.#tlsRequired ? titles.map((each) => each.replace(/^nbd(?=[:+])/, 'nbds')) : titles;
  }

  /**
   * Serves these exports, with what is in the files for TLS now, instead of those before. Connections
   * keep what they read from, and the TLS that they have. An export whose image cannot be opened is
   * failed, and tried again.
   * @param mayFail whether an export of that name does not count if the daemon is strict
   * @throws OverlaybdError when a file for TLS cannot be used, or the daemon is strict and an image
   *   cannot; everything is as before then
   */
  async reload(
    { exports, tls, registries }: ServedOptions,
    mayFail: (name: string) => boolean = () => false,
  ): Promise<void> {
    const settings = await readTls(tls, this.#log);
    this.#registries = registries;
    this.fetcher.update(registries);
    const mustOpen = (name: string): boolean => this.#strict && !mayFail(name);
    const before = await this.images.setExports(exports, mustOpen);
    this.reactors.setTls(settings);
    this.#tlsRequired = settings?.mode === 'require';
    void this.#releaseLater(before);
  }

  /**
   * Serves one more export, or another image under its name. Connections keep what they read from.
   * @param turn called when the image is open; makes the change, with what is done before it
   * @throws OverlaybdError when the image cannot be opened, what `turn` throws; nothing has changed then
   */
  async addExport(
    name: string,
    source: ImageSource,
    turn: (change: (keep: () => void) => Promise<void>) => Promise<void>,
  ): Promise<void> {
    const held = await this.images.open(source);
    try {
      await turn(async (keep) => {
        const before = await this.images.setExport(name, held, keep);
        if (before) void this.#releaseLater(new Map([[name, before]]));
      });
    } catch (error) {
      this.images.release(held);
      throw error;
    }
  }

  /** Serves an export no longer. Connections that read from it go on. @param keep done before the change */
  async removeExport(name: string, keep: () => void): Promise<void> {
    const before = await this.images.removeExport(name, keep);
    if (before) void this.#releaseLater(new Map([[name, before]]));
  }

  /**
   * Closes images when the connections have ended that read from them. Other connections do not matter: that of a
   * device may last as long as the daemon.
   * @param images by the export that each of them had
   */
  async #releaseLater(images: ReadonlyMap<string, HeldImage>): Promise<void> {
    const readers = await this.reactors.readers();
    for (const [name, held] of images) {
      const ids = readers.get(name);
      if (ids) void this.reactors.ended(ids).then(() => this.images.release(held));
      else this.images.release(held);
    }
  }

  /** Takes no new connection, answers what has been asked, and ends. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    // An opening has just failed.
    if (this.#released) return this.#released;
    this.clients.close();
    this.images.stop();
    await this.reactors.drain();
    await this.#traces?.stop();
    await this.#release();
  }

  async #startTraces(options: TraceOptions): Promise<void> {
    if (options.record === null && options.replay === null) return;
    const { Traces: Made } = await import('./traces.js');
    this.#traces = new Made(options, () => this.fetcher.client(), this.#log);
    await this.#traces.start([...this.images.exports.values()].map(({ image }) => image));
  }

  /** Fetches what the trace of an image names, and what its layers ask for. Later than every read. */
  async #prefetch({ name, trace, disk, closed }: OpenImage): Promise<void> {
    if ((trace === null && !hasHints(disk)) || this.#registries.offline || !isRemote(disk)) return;
    const { followHints, replayImage } = await import('./image-traces.js');
    const client = this.fetcher.client();
    if (trace !== null) await replayImage({ name, trace, disk, closed }, client, this.#log);
    await followHints({ name, disk }, client, this.#log);
  }

  #release(): Promise<void> {
    return (this.#released ??= this.#releaseAll());
  }

  async #releaseAll(): Promise<void> {
    this.clients.close();
    await this.reactors.terminate();
    this.#clientLog.sweep(true);
    this.images.close();
    await this.fetcher.close();
  }
}

/** @throws OverlaybdError BAD_CONFIG when a file is missing, or is not what it must be */
async function readTls(files: TlsFiles | null, log: Logger): Promise<TlsSettings | null> {
  if (!files) return null;
  const { loadTls } = await import('../listen/tls-files.js');
  const { notes, settings } = loadTls(files);
  for (const note of notes) log.log('warn', note);
  return settings;
}
