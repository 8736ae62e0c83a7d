// Which layers of a manifest are those of a Nydus image: one has the bootstrap in it, the others are data blobs.

import { OverlaybdError } from '../errors.js';
import { quoted, shortened } from '../lib/printable.js';
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
    const message = `${name}: a Nydus image with two bootstraps, ${bootstrap.digest} and ${second.digest}`;
    throw new OverlaybdError('BAD_FORMAT', message);
  }
  const version = bootstrap.annotations.get(VERSION) ?? SERVED_VERSION;
  if (version !== SERVED_VERSION) {
    const shown = quoted(shortened(version, MAX_SHOWN_LENGTH));
    const advice = 'convert the image again (nydusify convert --fs-version 6)';
    const message = `${name}: a Nydus image of RAFS version ${shown}: not supported: ${advice}`;
    throw new OverlaybdError('UNSUPPORTED', message);
  }
  return { bootstrap, others: layers.filter((each) => each !== bootstrap) };
}
