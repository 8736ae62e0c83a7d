// A case of the systemd tests: the machine before it boots, the steps in it, and the expected text on its console.
// Types only.
import type { Check } from '../kernel/checks.js';

export interface HostCase {
  name: string;
  /** Whether the case belongs to the main path. */
  core?: boolean;
  /** Shell commands that prepare the machine before systemd starts; as root, in the guest. */
  before: (images: string) => string;
  /**
   * A case listed earlier: if both are wanted, this one runs after it on the same machine. The shell commands bring that
   * machine to the state to which `before` brings a new one.
   */
  continues?: { name: string; commands?: string };
  /** Runs in the guest during the boot: the case itself waits for what it needs. */
  run: (check: Check, images: string) => Promise<void>;
  /** Seconds until `run` fails; 300. */
  timeout?: number;
  /** The last step, of the last case of a machine: it powers the machine off. Without it the machine is ended. */
  powerOff?: () => Promise<void>;
  /** Runs on the host after the machine has ended: checks its console. */
  judge?: (shown: string) => { good: boolean; what: string }[];
}
