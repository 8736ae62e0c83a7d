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
import type { TlsContexts } from './tls.js';
import {
  askService,
  parseUpstreamLogins,
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

export class Credentials implements CredentialSource {
  #settings: RegistrySettings;
  readonly #seams: CredentialSeams;
  readonly #authFiles: WatchedFiles<AuthFile>;
  readonly #upstreamFiles: WatchedFiles<UpstreamLogins>;
  readonly #helpers: CredentialHelpers;

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
    const { dockerConfig, credentialFile } = this.#settings;
    const fromFile = (path: string): Promise<Credential | null> => {
      return this.#fromAuthFile(path, host, repository, fresh, signal);
    };
    if (dockerConfig !== null) {
      const found = await fromFile(dockerConfig);
      if (found) return found;
    }
    if (credentialFile !== null) {
      const logins = await this.#upstreamFiles.get(credentialFile);
      const found = logins && upstreamLogin(logins, host, repository);
      if (found) return found;
    }
    const served = await this.#fromService(host, repository, signal);
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
  ): Promise<Credential | null> {
    const file = await this.#authFiles.get(path);
    if (!file) return null;
    const question = helperFor(file, host);
    const helped = question && (await this.#helpers.get(question, fresh, signal));
    return helped ?? loginFor(file, host, repository);
  }

  async #fromService(
    host: string,
    repository: string,
    signal: AbortSignal,
  ): Promise<Credential | null> {
    const { credentialService } = this.#settings;
    if (!credentialService) return null;
    try {
      const { tls } = this.#seams;
      const logins = await askService(credentialService, host, repository, tls, signal);
      return upstreamLogin(logins, host, repository);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      // As upstream: without a login, the registry is asked anonymously.
      this.#seams.log(messageOf(error));
      return null;
    }
  }

  /** Where docker and podman have theirs. */
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
