// The names of a registry: as its API is reached, and as configuration files call it.

/** Names of Docker Hub in configuration files; the first is that of its API. */
const DOCKER_HUB = [
  'registry-1.docker.io',
  'docker.io',
  'index.docker.io',
  'registry.hub.docker.com',
];

/** The host and its other names, the most usual one of configuration files first. */
export function namesOf(host: string): readonly string[] {
  return DOCKER_HUB.includes(host)
    ? ['docker.io', ...DOCKER_HUB.filter((each) => each !== 'docker.io')]
    : [host];
}

/** What a configuration file calls it: also the value of "ns=". */
export function canonicalName(host: string): string {
  return namesOf(host)[0] ?? host;
}

/** The host of the API of a registry that a configuration file names. */
export function apiHost(name: string): string {
  return DOCKER_HUB.includes(name) ? (DOCKER_HUB[0] ?? name) : name;
}
