// Where logins come from, in this order: the file of the command line, upstream's cred.json or its service, docker's
// configuration with its helpers, containers' auth.json. Files are looked at again at each use.

import { homedir } from 'node:os';
import { join } from 'node:path';
import type { RegistrySettings } from '../../config/registry-settings.js';
import { messageOf } from '../../errors.js';
import { loginFor, parseAuthFile } from './auth-file.js';
import type { Credential, CredentialSource } from './credential.js';
import type { HttpLimits } from './limits.js';
import { readFileIfThere } from './small-file.js';

export interface CredentialSeams {
  readonly env: NodeJS.ProcessEnv;
  readonly limits: HttpLimits;
  readonly now: () => number;
  readonly log: (line: string) => void;
}

export class Credentials implements CredentialSource {
  #settings: RegistrySettings;
  readonly #seams: CredentialSeams;

  constructor(settings: RegistrySettings, seams: CredentialSeams) {
    this.#settings = settings;
    this.#seams = seams;
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
    void [fresh, signal];
    for (const path of this.#files()) {
      const text = await readFileIfThere(path);
      if (text === null) continue;
      try {
        const found = loginFor(parseAuthFile(text), host, repository);
        if (found) return found;
      } catch (error) {
        this.#seams.log(`${path}: ${messageOf(error)}`);
      }
    }
    return null;
  }

  #files(): string[] {
    const { env } = this.#seams;
    const { dockerConfig } = this.#settings;
    const home = env['HOME'] || homedir();
    const docker = join(env['DOCKER_CONFIG'] || join(home, '.docker'), 'config.json');
    return [...(dockerConfig === null ? [] : [dockerConfig]), docker];
  }
}
