// A registry in this process, with a store that it redirects to, which does wrong what the rules of a test say.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';
import { Exchange } from './exchange.js';
import type { ImageLayout } from './image-layout.js';
import { actInstead } from './instead.js';
import { OCI } from './media-types.js';
import { Origin, type OriginName } from './origin.js';
import { RequestLog, type LoggedRequest } from './request-log.js';
import { Rules, type RequestKind, type Rule, type RuleHandle } from './rules.js';
import { rangeOf, sendBlob } from './send-blob.js';
import { sendStatus } from './send-status.js';
import { SignedUrls } from './signed-urls.js';
import { TokenOffice, type AuthOptions } from './token-office.js';

export interface FrontOptions {
  /** What each repository has. */
  readonly repositories: Readonly<Record<string, ImageLayout>>;
  /** PEM; plain http if left out. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly auth?: AuthOptions;
  /**
   * Where blobs are: 'store' redirects to another port with a signed URL, 'relative' to a path of the same one; the
   * registry has them itself if left out.
   */
  readonly redirect?: 'store' | 'relative';
  /** Milliseconds that a signed URL is good for; a minute if left out. */
  readonly signedMs?: number;
  /** Whether the registry has the referrers API; 404 if not, as docker-registry. */
  readonly referrers?: boolean;
  /** Milliseconds that each answer takes longer, and the first one of a connection twice as long. */
  readonly latencyMs?: number;
  /** What each of the two origins sends at most. */
  readonly bytesPerSecond?: number;
  /** 0 if left out: the system chooses. */
  readonly port?: number;
}

interface Target {
  readonly kind: RequestKind;
  readonly repository: string;
  readonly reference: string | null;
}

export class FaultFront {
  readonly log = new RequestLog();
  readonly rules = new Rules();
  /** null: anyone may read. */
  readonly tokens: TokenOffice | null;
  readonly urls: SignedUrls;
  readonly #options: FrontOptions;
  readonly #registry: Origin;
  readonly #store: Origin;

  private constructor(options: FrontOptions) {
    this.#options = options;
    this.tokens = options.auth ? new TokenOffice(options.auth) : null;
    this.urls = new SignedUrls(options.signedMs ?? 60_000);
    this.#registry = this.#makeOrigin('registry');
    this.#store = this.#makeOrigin('store');
  }

  /** @param t whose end ends it; null: the caller calls {@link stop} */
  static async start(
    t: { teardown(end: () => unknown): unknown } | null,
    options: FrontOptions,
  ): Promise<FaultFront> {
    const front = new FaultFront(options);
    await front.#registry.listen(options.port ?? 0);
    await front.#store.listen();
    t?.teardown(() => front.stop());
    return front;
  }

  /** As it stands in a reference: "127.0.0.1:PORT". */
  get host(): string {
    return `127.0.0.1:${this.#registry.port}`;
  }

  get storeHost(): string {
    return `127.0.0.1:${this.#store.port}`;
  }

  get url(): string {
    return `${this.#scheme}://${this.host}`;
  }

  /** What an image is called: "127.0.0.1:PORT/REPOSITORY:TAG". */
  name(repository: string, tag: string): string {
    return `${this.host}/${repository}:${tag}`;
  }

  /** @see Rules.add */
  rule(rule: Rule): RuleHandle {
    return this.rules.add(rule);
  }

  /** As if the machine were off, until {@link revive}. */
  async die(which: readonly OriginName[] = BOTH): Promise<void> {
    for (const origin of this.#origins(which)) await origin.die();
  }

  /** Listens again where it did. */
  async revive(which: readonly OriginName[] = BOTH): Promise<void> {
    for (const origin of this.#origins(which)) await origin.listen();
  }

  /** Closes connections that have no request, as load balancers do. */
  closeIdle(): void {
    for (const origin of this.#origins(BOTH)) origin.closeIdle();
  }

  async stop(): Promise<void> {
    this.rules.clear();
    await this.die();
  }

  #origins(which: readonly OriginName[]): Origin[] {
    return [this.#registry, this.#store].filter(({ name }) => which.includes(name));
  }

  get #scheme(): string {
    return this.#options.tls ? 'https' : 'http';
  }

  #makeOrigin(name: OriginName): Origin {
    const { tls = null, bytesPerSecond = Infinity } = this.#options;
    const origin: Origin = new Origin(name, { tls, bytesPerSecond }, (request, response) => {
      void this.#handle(origin, request, response);
    });
    return origin;
  }

  async #handle(origin: Origin, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://front');
    const target = targetOf(origin.name, url.pathname);
    const entry = this.#enter(origin, request, url.pathname, target);
    try {
      await this.#answer(new Exchange(origin, request, response, entry), target, url);
    } catch (error) {
      console.error(`fault front: ${request.method} ${url.pathname}:`, error);
      response.destroy();
    }
  }

  #enter(origin: Origin, request: IncomingMessage, path: string, target: Target): LoggedRequest {
    const entry: LoggedRequest = {
      number: this.log.requests.length + 1,
      connection: origin.connections.number(request),
      origin: origin.name,
      kind: target.kind,
      method: request.method ?? '',
      path,
      reference: target.reference,
      range: request.headers.range ?? null,
      authorization: request.headers.authorization?.split(' ')[0] ?? null,
      headers: { ...request.headers, authorization: undefined },
      begin: performance.now(),
      end: Infinity,
      status: 0,
      first: 0,
      bytes: 0,
      ended: 'open',
      action: null,
    };
    this.log.add(entry);
    return entry;
  }

  async #answer(exchange: Exchange, target: Target, url: URL): Promise<void> {
    const { request, response, entry } = exchange;
    const { latencyMs = 0 } = this.#options;
    const form = request.method === 'POST' ? await readForm(request) : null;
    if (latencyMs > 0) await pause(latencyMs);
    if (target.kind !== 'token' && target.kind !== 'store' && !this.#allowed(request, target)) {
      this.#challenge(exchange, target);
      return;
    }
    const direct = target.kind === 'blob' && this.#options.redirect === undefined;
    const rule = this.rules.take({
      kind: target.kind,
      data: direct || target.kind === 'store',
      method: entry.method,
      reference: target.reference,
      range: rangeOf(request.headers.range, Number.MAX_SAFE_INTEGER),
    });
    entry.action = rule?.rule.action.do ?? null;
    this.log.changed();
    const challenge = (): void => this.#challenge(exchange, target);
    if (rule && (await actInstead(exchange, rule, challenge))) return;
    switch (target.kind) {
      case 'ping':
        return sendStatus(response, 200, 'json', {}, '{}');
      case 'token': {
        if (!this.tokens) return sendStatus(response, 404);
        const { status, body } = this.tokens.answer(request, url.searchParams, form);
        return sendStatus(response, status, 'json', {}, JSON.stringify(body));
      }
      case 'manifest':
        return this.#sendManifest(exchange, target);
      case 'referrers':
        return this.#sendReferrers(exchange, target);
      case 'blob':
        if (direct) return this.#sendData(exchange, target, rule);
        return sendStatus(response, 307, 'none', { Location: this.#locationOf(target) });
      case 'store':
        if (!this.urls.isGood(url)) return sendStatus(response, 403, 'xml');
        return this.#sendData(exchange, target, rule);
      case 'other':
        return sendStatus(response, 404, 'html');
    }
  }

  #allowed(request: IncomingMessage, { repository, kind }: Target): boolean {
    if (!this.tokens) return true;
    const { authorization } = request.headers;
    // A ping says how to log in, and no token is for it.
    return kind !== 'ping' && this.tokens.allows(authorization, repository);
  }

  #challenge({ response }: Exchange, { repository }: Target): void {
    const said = this.tokens?.challenges(`${this.url}/token`, repository) ?? ['Basic realm="x"'];
    sendStatus(response, this.tokens?.refusal ?? 401, 'json', { 'WWW-Authenticate': said });
  }

  #sendManifest({ request, response }: Exchange, target: Target): void {
    const layout = this.#options.repositories[target.repository];
    const manifest = layout?.manifest(target.reference ?? '') ?? null;
    const accepted = (request.headers.accept ?? '').split(',').map((each) => each.trim());
    // As docker-registry: a type that is not in Accept is an image that is not there.
    if (!manifest || !accepted.includes(manifest.mediaType)) return sendStatus(response, 404);
    const etag = `"${manifest.digest}"`;
    const headers = { 'Docker-Content-Digest': manifest.digest, ETag: etag };
    if (request.headers['if-none-match'] === etag) {
      return sendStatus(response, 304, 'none', headers);
    }
    response.writeHead(200, {
      ...headers,
      'Content-Type': manifest.mediaType,
      'Content-Length': manifest.bytes.length,
    });
    response.end(manifest.bytes);
  }

  #sendReferrers({ response }: Exchange, target: Target): void {
    const layout = this.#options.repositories[target.repository];
    if (this.#options.referrers !== true || !layout) return sendStatus(response, 404);
    const manifests = layout.referrers(target.reference ?? '');
    const body = JSON.stringify({ schemaVersion: 2, mediaType: OCI.index, manifests });
    sendStatus(response, 200, 'json', { 'Content-Type': OCI.index }, body);
  }

  async #sendData(exchange: Exchange, target: Target, rule: RuleHandle | null): Promise<void> {
    const layout = this.#options.repositories[target.repository];
    const blob = layout?.blob(target.reference ?? '') ?? null;
    if (blob) return sendBlob(exchange, blob, rule);
    sendStatus(exchange.response, 404);
  }

  #locationOf({ repository, reference }: Target): string {
    const signed = this.urls.sign(`/store/${repository}/${reference}`);
    const { redirect } = this.#options;
    return redirect === 'relative' ? signed : `${this.#scheme}://${this.storeHost}${signed}`;
  }
}

const BOTH: readonly OriginName[] = ['registry', 'store'];

const PATHS: readonly (readonly [RequestKind, RegExp])[] = [
  ['ping', /^\/v2\/?()()$/],
  ['manifest', /^\/v2\/(.+)\/manifests\/([^/]+)$/],
  ['blob', /^\/v2\/(.+)\/blobs\/([^/]+)$/],
  ['referrers', /^\/v2\/(.+)\/referrers\/([^/]+)$/],
  ['token', /^\/token()()$/],
  ['store', /^\/store\/(.+)\/([^/]+)$/],
];

function targetOf(origin: OriginName, path: string): Target {
  for (const [kind, pattern] of PATHS) {
    const found = pattern.exec(path);
    if (!found || (origin === 'store' && kind !== 'store')) continue;
    const [, repository = '', reference = ''] = found;
    return { kind, repository, reference: reference === '' ? null : reference };
  }
  return { kind: 'other', repository: '', reference: null };
}

async function readForm(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return Buffer.concat(parts).toString();
}
