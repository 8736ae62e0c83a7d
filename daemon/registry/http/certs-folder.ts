// The folder of a registry below certs.d: its hosts.toml, or without one the certificates as Docker has them.

import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parseHostsToml, type HostsFile } from './hosts-toml.js';
import { NO_TLS_PATHS, type TlsPaths } from './tls.js';
import { WatchedFiles, type WatchSeams } from './watched-file.js';

/** Of containerd, and of Docker and podman. */
export const CERTS_FOLDERS = [
  '/etc/containerd/certs.d',
  '/etc/docker/certs.d',
  '/etc/containers/certs.d',
];

/** Files of a folder that are looked at. */
const MAX_FILES = 256;

export interface HostFolder {
  readonly hosts: HostsFile | null;
  /** *.crt is trusted, *.cert with its *.key is ours. */
  readonly tls: TlsPaths;
}

export class CertsFolders {
  readonly #roots: readonly string[];
  readonly #files: WatchedFiles<HostsFile>;

  constructor(roots: readonly string[], seams: WatchSeams) {
    this.#roots = roots;
    this.#files = new WatchedFiles((text, path) => parseHostsToml(text, dirname(path)), seams);
  }

  /** The first hosts.toml, else the first folder with certificates, for any of these names. */
  async of(names: readonly string[]): Promise<HostFolder> {
    const folders = this.#roots.flatMap((root) => {
      return [...names.flatMap(foldersOf), '_default'].map((name) => join(root, name));
    });
    for (const folder of folders) {
      const hosts = await this.#files.get(join(folder, 'hosts.toml'));
      if (hosts) return { hosts, tls: NO_TLS_PATHS };
    }
    for (const folder of folders) {
      const tls = await certificatesIn(folder);
      if (tls) return { hosts: null, tls };
    }
    return { hosts: null, tls: NO_TLS_PATHS };
  }
}

/** A colon is not possible in a name everywhere. */
function foldersOf(host: string): string[] {
  const colon = host.lastIndexOf(':');
  return colon < 0 ? [host] : [`${host.slice(0, colon)}_${host.slice(colon + 1)}_`, host];
}

async function certificatesIn(folder: string): Promise<TlsPaths | null> {
  let names: string[];
  try {
    names = (await readdir(folder)).toSorted().slice(0, MAX_FILES);
  } catch {
    return null;
  }
  const ca = names.filter((name) => name.endsWith('.crt')).map((name) => join(folder, name));
  const client = names.flatMap((name) => {
    if (!name.endsWith('.cert')) return [];
    const key = name.replace(/\.cert$/, '.key');
    if (!names.includes(key)) return [];
    return [{ certificate: join(folder, name), key: join(folder, key) }];
  });
  return ca.length + client.length === 0 ? null : { ca, client, isUnverified: false };
}
