// Which layers of a manifest are those of a Nydus image: one has the bootstrap in it, the others are data blobs.

import { quoted, shortened } from '../lib/printable.js';
import { errorOf } from '../lib/fault.js';
import type { Descriptor } from './manifest.js';

const BOOTSTRAP = 'containerd.io/snapshot/nydus-bootstrap';
const VERSION = 'containerd.io/snapshot/nydus-fs-version';
const SERVED_VERSION = '6';
const MAX_SHOWN_LENGTH = 160;

export interface NydusLayers {
  readonly bootstrap: Descriptor;
  /** Those that may be data blobs. */
  readonly others: readonly Descriptor[];
}

/**
 * @param name of the image, for messages
 * @returns null if it is no Nydus image
 * @throws OverlaybdError BAD_FORMAT for several bootstraps, UNSUPPORTED for another version of RAFS
 */
export function nydusLayers(layers: readonly Descriptor[], name: string): NydusLayers | null {
  const [bootstrap, second] = layers.filter((each) => each.annotations.get(BOOTSTRAP) === 'true');
  if (!bootstrap) return null;
  if (second) {
    const why = `a Nydus image with two bootstraps, ${bootstrap.digest} and ${second.digest}`;
    throw errorOf('BAD_FORMAT', { image: name, digest: second.digest }, why);
  }
  const version = bootstrap.annotations.get(VERSION) ?? SERVED_VERSION;
  if (version !== SERVED_VERSION) {
    const got = quoted(shortened(version, MAX_SHOWN_LENGTH));
    const { digest } = bootstrap;
    const advice = 'convert the image again (nydusify convert --fs-version 6)';
    const why = `a Nydus image of RAFS version ${got}: only version ${SERVED_VERSION} is supported: ${advice}`;
    throw errorOf('UNSUPPORTED', { image: name, digest, expected: SERVED_VERSION, got }, why);
  }
  return { bootstrap, others: layers.filter((each) => each !== bootstrap) };
}
