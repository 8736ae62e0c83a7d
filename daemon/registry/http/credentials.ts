// Where logins come from, in this order: the file of the command line, upstream's cred.json or its service, docker's
// configuration with its helpers, containers' auth.json. Files are looked at again at each use.

import { homedir } from 'node:os';
import { join } from 'node:path';
import type { RegistrySettings } from '../../config/registry-settings.js';
import { messageOf } from '../../errors.js';
import { helperFor, loginFor, parseAuthFile, type AuthFile } from './auth-file.js';
import { CredentialHelpers } from './credential-helper.js';
import type { Credential, CredentialSource } from './credential.js';
import type { HttpLimits } from './limits.js';
import { loginAdvice, type LoginSearch } from './login-advice.js';
import { Lru } from './lru.js';
import type { TlsContexts } from './tls.js';
import {
  askService,
  parseUpstreamLogins,
  serviceName,
  upstreamLogin,
  type UpstreamLogins,
} from './upstream-credentials.js';
import { WatchedFiles } from './watched-file.js';

export interface CredentialSeams {
  readonly env: NodeJS.ProcessEnv;
  readonly limits: HttpLimits;
  readonly now: () => number;
  readonly log: (line: string) => void;
  readonly tls: TlsContexts;
}

/** Repositories whose search is remembered, for messages. */
const MAX_SEARCHES = 1024;
/** Logins of the service that are kept, and for how long. */
const MAX_SERVED = 1024;
const SERVED_MS = 30_000;

export class Credentials implements CredentialSource {
  #settings: RegistrySettings;
  readonly #seams: CredentialSeams;
  readonly #authFiles: WatchedFiles<AuthFile>;
  readonly #upstreamFiles: WatchedFiles<UpstreamLogins>;
  readonly #helpers: CredentialHelpers;
  readonly #searches = new Lru<string, LoginSearch>(MAX_SEARCHES);
  readonly #served = new Lru<string, { at: number; login: Credential | null }>(MAX_SERVED);

  constructor(settings: RegistrySettings, seams: CredentialSeams) {
    this.#settings = settings;
    this.#seams = seams;
    const watch = { ...seams, filesMs: seams.limits.filesMs };
    this.#authFiles = new WatchedFiles(parseAuthFile, watch);
    this.#upstreamFiles = new WatchedFiles(parseUpstreamLogins, watch);
    this.#helpers = new CredentialHelpers(seams);
  }

  update(settings: RegistrySettings): void {
    this.#settings = settings;
  }

  async get(
    host: string,
    repository: string,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Credential | null> {
    const looked: string[] = [];
    const credential = await this.#search(host, repository, fresh, signal, looked);
    const found = credential ? (looked.at(-1) ?? null) : null;
    this.#searches.set(JSON.stringify([host, repository]), { looked, found });
    return credential;
  }

  advice(host: string, repository: string): string {
    return loginAdvice(host, this.#searches.get(JSON.stringify([host, repository])) ?? null);
  }

  /** @param looked gets the places that were looked at, the one with the login last */
  async #search(
    host: string,
    repository: string,
    fresh: boolean,
    signal: AbortSignal,
    looked: string[],
  ): Promise<Credential | null> {
    const { dockerConfig, credentialFile, credentialService } = this.#settings;
    const fromFile = async (path: string): Promise<Credential | null> => {
      const { credential, place } = await this.#fromAuthFile(path, host, repository, fresh, signal);
      looked.push(place);
      return credential;
    };
    if (dockerConfig !== null) {
      const found = await fromFile(dockerConfig);
      if (found) return found;
    }
    if (credentialFile !== null) {
      const logins = await this.#upstreamFiles.get(credentialFile);
      looked.push(placeOf(credentialFile, logins, this.#upstreamFiles));
      const found = logins && upstreamLogin(logins, host, repository);
      if (found) return found;
    }
    if (credentialService) looked.push(`the credential service ${serviceName(credentialService)}`);
    const served = await this.#fromService(host, repository, fresh, signal);
    if (served) return served;
    for (const path of this.#usualFiles()) {
      const found = await fromFile(path);
      if (found) return found;
    }
    return null;
  }

  async #fromAuthFile(
    path: string,
    host: string,
    repository: string,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<{ credential: Credential | null; place: string }> {
    const file = await this.#authFiles.get(path);
    if (!file) return { credential: null, place: placeOf(path, file, this.#authFiles) };
    const question = helperFor(file, host);
    const helped = question && (await this.#helpers.get(question, fresh, signal));
    const place = question ? `${path} (docker-credential-${question.helper})` : path;
    return { credential: helped ?? loginFor(file, host, repository), place };
  }

  /** Its last answer is good for a while, and for as long as it fails. */
  async #fromService(
    host: string,
    repository: string,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Credential | null> {
    const { credentialService } = this.#settings;
    if (!credentialService) return null;
    const { now } = this.#seams;
    const key = JSON.stringify([credentialService, host, repository]);
    const known = this.#served.get(key);
    if (known && !fresh && now() - known.at < SERVED_MS) return known.login;
    try {
      const { tls } = this.#seams;
      const logins = await askService(credentialService, host, repository, tls, signal);
      const login = upstreamLogin(logins, host, repository);
      this.#served.set(key, { at: now(), login });
      return login;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      this.#seams.log(messageOf(error));
      // As upstream: without a login, the registry is asked anonymously.
      return known?.login ?? null;
    }
  }

  /** Where docker and podman keep logins. */
  #usualFiles(): string[] {
    const { env } = this.#seams;
    const home = env['HOME'] || homedir();
    const runtime = env['XDG_RUNTIME_DIR'];
    const named = env['REGISTRY_AUTH_FILE'];
    const config = env['XDG_CONFIG_HOME'] || join(home, '.config');
    return [
      join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json'),
      ...(named ? [named] : []),
      ...(runtime ? [join(runtime, 'containers/auth.json')] : []),
      join(config, 'containers/auth.json'),
    ];
  }
}

function placeOf<T>(path: string, content: T | null, files: WatchedFiles<T>): string {
  return content === null ? `${path} (${files.problem(path)})` : path;
}
