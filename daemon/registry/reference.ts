// The names of images: the grammar of Docker and OCI references with Docker's defaults, and the prefixes that
// say plainly where an image is. Pure: whether the image exists is found out elsewhere.

import { OverlaybdError } from '../errors.js';
import { errorOf } from '../lib/fault.js';
import { quoted, shortened } from '../lib/printable.js';
import { isSha256 } from '../lib/sha256.js';
import { withoutLogin } from '../lib/without-login.js';
import { isDigest } from './digest.js';

/** Characters of a repository, without its host. The limit of Docker's own parser. */
const MAX_REPOSITORY_LENGTH = 255;
const MAX_TAG_LENGTH = 128;
/** Characters of a host: 253 of a DNS name, and a port. */
const MAX_HOST_LENGTH = 253 + 6;
/** Characters of any name of an image. PATH_MAX is the longest part that there can be. */
const MAX_NAME_LENGTH = 4096 + MAX_REPOSITORY_LENGTH + MAX_TAG_LENGTH;
/** Characters of a wrong name that a message repeats. */
const MAX_SHOWN_LENGTH = 300;

const DEFAULT_HOST = 'docker.io';
/** Docker's own alias of docker.io. */
const DEFAULT_HOST_ALIAS = 'index.docker.io';
/** Where the API of docker.io is. */
const DEFAULT_API_HOST = 'registry-1.docker.io';
const DEFAULT_TAG = 'latest';
const OFFICIAL = 'library/';

const HOST =
  /^(?:(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])(?:\.(?:[a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9]))*|\[[0-9a-f:]+\])(?::([0-9]{1,5}))?$/;
const REPOSITORY_PART = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;

/** An image in a registry. */
export interface RegistryReference {
  readonly kind: 'registry';
  /** In full, for messages: "docker.io/library/redis:7". */
  readonly name: string;
  /** Host of the API, with its port if it was named: "registry-1.docker.io", "localhost:5000". */
  readonly host: string;
  readonly repository: string;
  /** null if only a digest was named. */
  readonly tag: string | null;
  /** "sha256:HEX". If there is a tag, too, the digest decides. */
  readonly digest: string | null;
}

/** An image in a folder that is an OCI image layout. */
export interface LayoutReference {
  readonly kind: 'oci';
  /** As it was written. */
  readonly name: string;
  readonly folder: string;
  /** The entry of index.json with this org.opencontainers.image.ref.name; null: the only one there is. */
  readonly tag: string | null;
  readonly digest: string | null;
}

/** An image in a tar of `docker save`. */
export interface ArchiveReference {
  readonly kind: 'docker-archive';
  /** As it was written. */
  readonly name: string;
  readonly path: string;
  /** The image with this tag, in full: "docker.io/library/redis:7"; null: the only one there is. */
  readonly tag: string | null;
}

export type Reference = RegistryReference | LayoutReference | ArchiveReference;

const PREFIXES: readonly (readonly [string, (rest: string, text: string) => Reference])[] = [
  ['docker://', parseRegistryReference],
  ['oci:', parseLayoutReference],
  ['docker-archive:', parseArchiveReference],
];

/**
 * Parses `docker://REF`, `oci:DIR[:TAG]`, `oci:DIR@DIGEST`, `docker-archive:FILE[:REF]`, or a bare REF.
 * @throws OverlaybdError BAD_ARGUMENT that says what is wrong, UNSUPPORTED for digests of other algorithms
 */
export function parseReference(text: string): Reference {
  if (text.length > MAX_NAME_LENGTH) throw wrong(text, `longer than ${MAX_NAME_LENGTH} characters`);
  if (text.includes('\0')) throw wrong(text, 'it has a NUL character');
  for (const [prefix, parse] of PREFIXES) {
    if (text.startsWith(prefix)) return parse(text.slice(prefix.length), text);
  }
  return parseRegistryReference(text);
}

/**
 * Host and repository as they are asked for, by Docker's defaults: the host is docker.io unless the part before
 * the first slash has a dot or a colon, is "localhost", or has a capital.
 * @param text without tag and digest
 */
function splitHost(text: string): { host: string; repository: string } {
  const slash = text.indexOf('/');
  const first = text.slice(0, Math.max(slash, 0));
  const isHost = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();
  const named = isHost ? first.toLowerCase() : DEFAULT_HOST;
  const host = named === DEFAULT_HOST_ALIAS ? DEFAULT_HOST : named;
  const repository = isHost ? text.slice(slash + 1) : text;
  const isOfficial = host === DEFAULT_HOST && !repository.includes('/');
  return { host, repository: isOfficial ? `${OFFICIAL}${repository}` : repository };
}

function parseRegistryReference(rest: string, text = rest): RegistryReference {
  if (rest === '') throw wrong(text, 'it is empty');
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(rest)) {
    throw wrong(text, 'a reference has no scheme such as https://');
  }
  const at = rest.indexOf('@');
  const beforeDigest = at < 0 ? rest : rest.slice(0, at);
  const digest = at < 0 ? null : checkedDigest(rest.slice(at + 1), text);
  const colon = beforeDigest.lastIndexOf(':');
  // A colon before a slash begins a port.
  const hasTag = colon > beforeDigest.lastIndexOf('/');
  const { host, repository } = splitHost(hasTag ? beforeDigest.slice(0, colon) : beforeDigest);
  checkHost(host, text);
  checkRepository(repository, text);
  if (host === DEFAULT_HOST && /^library\/[0-9a-f]{64}$/.test(repository)) {
    throw wrong(text, '64 hexadecimal digits are the ID of an image, not its name');
  }
  const named = hasTag ? checkedTag(beforeDigest.slice(colon + 1), text) : null;
  const tag = named ?? (digest === null ? DEFAULT_TAG : null);
  return {
    kind: 'registry',
    name: `${host}/${repository}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`,
    host: apiHost(host),
    repository,
    tag,
    digest,
  };
}

/** As skopeo has it: the folder ends at the first colon. */
function parseLayoutReference(rest: string, text: string): LayoutReference {
  const byDigest = /^([^]*)@((?:sha256|sha512):[0-9a-fA-F]*)$/.exec(rest);
  if (byDigest) {
    const [, folder = '', digest = ''] = byDigest;
    if (folder === '') throw wrong(text, 'it names no folder');
    return { kind: 'oci', name: text, folder, tag: null, digest: checkedDigest(digest, text) };
  }
  const [folder, tag] = cut(rest);
  if (folder === '') throw wrong(text, 'it names no folder');
  if (tag === '') throw wrong(text, 'the tag after the colon is empty');
  return { kind: 'oci', name: text, folder, tag, digest: null };
}

function parseArchiveReference(rest: string, text: string): ArchiveReference {
  const [path, tag] = cut(rest);
  if (path === '') throw wrong(text, 'it names no file');
  const reference = tag === null ? null : parseRegistryReference(tag, text);
  if (reference?.digest) throw wrong(text, 'an archive has no digests of images');
  return { kind: 'docker-archive', name: text, path, tag: reference?.name ?? null };
}

/** Up to the first colon, and what follows it. */
function cut(text: string): [string, string | null] {
  const colon = text.indexOf(':');
  return colon < 0 ? [text, null] : [text.slice(0, colon), text.slice(colon + 1)];
}

/** The host whose API serves a host of references. */
export function apiHost(host: string): string {
  return host === DEFAULT_HOST ? DEFAULT_API_HOST : host;
}

/** What is wrong with a host, with or without a port, as a sentence; null: nothing. */
export function hostProblem(host: string): string | null {
  const match = host.length > MAX_HOST_LENGTH ? null : HOST.exec(host);
  if (!match) return `${quoted(shortened(host, MAX_SHOWN_LENGTH))} is not a host`;
  const port = match[1] === undefined ? 1 : Number(match[1]);
  return port < 1 || port > 65_535 ? `${match[1]} is not a port` : null;
}

/** What is wrong with a repository, as a sentence; null: nothing. */
export function repositoryProblem(repository: string): string | null {
  if (repository.length > MAX_REPOSITORY_LENGTH) {
    return `the repository has ${repository.length} characters; at most ${MAX_REPOSITORY_LENGTH} are allowed`;
  }
  if (repository === '') return 'the repository is missing';
  if (/[A-Z]/.test(repository)) {
    return `the repository must be lower case: ${quoted(repository.toLowerCase())}`;
  }
  const part = repository.split('/').find((each) => !REPOSITORY_PART.test(each));
  if (part === undefined) return null;
  if (part === '') return 'a part of the repository is empty';
  return `${quoted(part)} is not a part of a repository: letters and digits, with ".", "_", "__" or "-" between them`;
}

function checkHost(host: string, text: string): void {
  const problem = hostProblem(host);
  if (problem !== null) throw wrong(text, problem);
}

function checkRepository(repository: string, text: string): void {
  const problem = repositoryProblem(repository);
  if (problem !== null) throw wrong(text, problem);
}

function checkedTag(tag: string, text: string): string {
  if (TAG.test(tag)) return tag;
  if (tag === '') throw wrong(text, 'the tag after the colon is empty');
  if (tag.length > MAX_TAG_LENGTH) {
    throw wrong(
      text,
      `the tag has ${tag.length} characters; at most ${MAX_TAG_LENGTH} are allowed`,
    );
  }
  throw wrong(
    text,
    `${quoted(tag)} is not a tag: letters, digits, "_", and after the first also "." and "-"`,
  );
}

function checkedDigest(digest: string, text: string): string {
  if (isSha256(digest)) return digest;
  if (isDigest(digest)) {
    const image = show(text);
    throw errorOf('UNSUPPORTED', { image, digest }, 'only sha256 digests are supported');
  }
  throw wrong(
    text,
    `${quoted(shortened(digest, MAX_SHOWN_LENGTH))} is not a digest: "sha256:" and 64 digits 0-9, a-f`,
  );
}

function show(text: string): string {
  return quoted(shortened(withoutLogin(text), MAX_SHOWN_LENGTH));
}

function wrong(text: string, why: string): OverlaybdError {
  const image = show(text);
  const message = `${image} is not the name of an image: ${why}`;
  return new OverlaybdError('BAD_ARGUMENT', message, { facts: { image } });
}
