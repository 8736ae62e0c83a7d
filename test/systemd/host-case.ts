// What a case of the systemd tests is: a machine as it is before it boots, what is done in it, and what its console
// must say. Types only.
import type { Check } from '../kernel/checks.js';

export interface HostCase {
  name: string;
  /** Whether it belongs to the main path. */
  core?: boolean;
  /** Shell commands that make the machine what it is, before systemd starts; as root, in the guest. */
  before: (images: string) => string;
  /** In the guest, beside the boot: waiting for it is the case's own affair. */
  run: (check: Check, images: string) => Promise<void>;
  /** Seconds until `run` has failed; 300. */
  timeout?: number;
  /** The last thing that happens: powers the machine off. Without it the machine just ends. */
  powerOff?: () => Promise<void>;
  /** Here, when the machine has ended: what its console shows. */
  judge?: (shown: string) => { good: boolean; what: string }[];
}
