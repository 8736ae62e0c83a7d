// All cases of the systemd tests, in the order in which they run.
import { bootCases } from './cases/boot.js';
import { guideCases } from './cases/guide.js';
import { namespaceCases } from './cases/namespaces.js';
import { packageCases } from './cases/package.js';
import { runningCases } from './cases/running.js';
import { shutdownCases } from './cases/shutdown.js';
import { socketCases } from './cases/sockets.js';
import type { HostCase } from './host-case.js';

export const CASES: readonly HostCase[] = [
  ...guideCases(),
  ...bootCases(),
  ...runningCases(),
  ...packageCases(),
  ...socketCases(),
  ...namespaceCases(),
  ...shutdownCases(),
];
