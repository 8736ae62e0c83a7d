// Pushes images to a registry over HTTP: blobs first, manifests after what they name.
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Agent, request as send, type Dispatcher } from 'undici';
import { sha256, type ImagePlace } from './image-place.js';

export interface RegistryLogin {
  /** PEM of the CA of its certificate. */
  readonly ca?: string;
  readonly user?: string;
  readonly password?: string;
}

type Answer = Omit<Dispatcher.ResponseData, 'body'> & { text: string };

export class RegistryPlace implements ImagePlace {
  readonly #url: string;
  readonly #repository: string;
  readonly #login: RegistryLogin;
  readonly #agent: Agent;
  #authorization: string | null = null;

  /** @param url "https://HOST:PORT" */
  constructor(url: string, repository: string, login: RegistryLogin = {}) {
    this.#url = url;
    this.#repository = repository;
    this.#login = login;
    this.#agent = new Agent({ connect: { ...(login.ca !== undefined && { ca: login.ca }) } });
  }

  putBytes(bytes: Uint8Array): Promise<void> {
    return this.#put(sha256(bytes), bytes.length, () => bytes);
  }

  async putFile(path: string, digest: string): Promise<void> {
    await this.#put(digest, (await stat(path)).size, () => createReadStream(path));
  }

  async putManifest(bytes: Uint8Array, mediaType: string, tag: string | null): Promise<void> {
    const path = `/v2/${this.#repository}/manifests/${tag ?? sha256(bytes)}`;
    await this.#must(201, 'PUT', path, { 'content-type': mediaType }, bytes);
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #put(digest: string, size: number, body: () => Uint8Array | Readable): Promise<void> {
    const uploads = `/v2/${this.#repository}/blobs/uploads/`;
    const { headers } = await this.#must(202, 'POST', uploads, { 'content-length': '0' });
    // The location has a query of its own, which has to stay.
    const location = new URL(String(headers['location']), this.#url);
    location.searchParams.set('digest', digest);
    const described = {
      'content-type': 'application/octet-stream',
      'content-length': `${size}`,
    };
    await this.#must(201, 'PUT', location.href, described, body());
  }

  /** @throws Error if the status is another one */
  async #must(
    status: number,
    method: Dispatcher.HttpMethod,
    path: string,
    headers: Record<string, string>,
    body: Uint8Array | Readable | null = null,
  ): Promise<Answer> {
    let answer = await this.#send(method, path, headers, body);
    // Only requests without a body come first.
    if (answer.statusCode === 401 && body === null) {
      await this.#authorize(String(answer.headers['www-authenticate']));
      answer = await this.#send(method, path, headers, body);
    }
    if (answer.statusCode === status) return answer;
    throw new Error(`${method} ${path}: ${answer.statusCode} ${answer.text}`);
  }

  async #send(
    method: Dispatcher.HttpMethod,
    path: string,
    headers: Record<string, string>,
    body: Uint8Array | Readable | null,
  ): Promise<Answer> {
    const { body: answered, ...answer } = await send(new URL(path, this.#url), {
      method,
      headers: { ...headers, ...(this.#authorization && { authorization: this.#authorization }) },
      body,
      dispatcher: this.#agent,
    });
    return { ...answer, text: await answered.text() };
  }

  async #authorize(challenge: string): Promise<void> {
    const { user, password } = this.#login;
    const basic = `Basic ${Buffer.from(`${user ?? ''}:${password ?? ''}`).toString('base64')}`;
    const [, realm, service] = /^Bearer realm="(.*?)",service="(.*?)"/.exec(challenge) ?? [];
    if (realm === undefined || service === undefined) {
      this.#authorization = basic;
      return;
    }
    const url = new URL(realm);
    url.searchParams.set('service', service);
    url.searchParams.set('scope', `repository:${this.#repository}:pull,push`);
    this.#authorization = basic;
    const { text } = await this.#send('GET', url.href, {}, null);
    this.#authorization = `Bearer ${(JSON.parse(text) as { token: string }).token}`;
  }
}
