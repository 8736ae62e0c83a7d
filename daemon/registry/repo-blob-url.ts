// The repoBlobUrl of a config.v1.json: where the blobs of its layers are, as snapshotters write it. Pure.

import type { OverlaybdError } from '../errors.js';
import { aboutOf, errorOf, publicFact, type About } from '../lib/fault.js';
import { quoted, shortened } from '../lib/printable.js';
import { apiHost, hostProblem, repositoryProblem } from './reference.js';

const MAX_LENGTH = 1024;
const MAX_SHOWN_LENGTH = 300;
/** Upstream's first version takes URLs without a scheme, too. */
const FORM = /^(?:https?:\/\/)?([^/?#@\\]+)\/v2\/([^?#@\\]+?)\/blobs\/?$/i;

export interface RepositoryUrl {
  /** Of the API, with its port if it is named: "registry-1.docker.io". */
  readonly host: string;
  readonly repository: string;
}

/**
 * Parses "https://HOST/v2/REPOSITORY/blobs". The scheme "http" does not switch TLS off: that is for the operator.
 * @param where names the configuration and its key
 * @throws OverlaybdError BAD_CONFIG
 */
export function parseRepoBlobUrl(url: string, where: About): RepositoryUrl {
  const wrong = (why: string): OverlaybdError => {
    const shown = publicFact(shortened(url, MAX_SHOWN_LENGTH));
    return errorOf('BAD_CONFIG', { ...aboutOf(where), url: shown }, `${quoted(shown)}: ${why}`);
  };
  const match = url.length > MAX_LENGTH ? null : FORM.exec(url);
  if (!match) throw wrong('not of the form https://HOST/v2/REPOSITORY/blobs');
  const [, named = '', repository = ''] = match;
  const host = apiHost(named.toLowerCase());
  const problem = hostProblem(host) ?? repositoryProblem(repository);
  if (problem !== null) throw wrong(problem);
  return { host, repository };
}
