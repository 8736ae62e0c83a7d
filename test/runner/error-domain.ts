// Finds the test that an uncaught error belongs to, instead of tap's `async-hook-domain` (tap-bundle.ts). That one is told
// of the end of every promise, which costs more than most tests do with the promise. Here each asynchronous resource
// refers to the domain of the code that made it.
import { createHook, executionAsyncResource } from 'node:async_hooks';

const DOMAIN = Symbol('error domain');
type Resource = { [DOMAIN]?: Domain | undefined };

/** Tests replace members of `process`. */
const originalEmit = process.emit.bind(process) as (event: string, ...values: unknown[]) => boolean;
let isActive = false;

const current = (): Domain | undefined => {
  let domain = (executionAsyncResource() as Resource)[DOMAIN];
  while (domain?.isDestroyed === true) domain = domain.parent;
  return domain;
};

/** @returns whether a domain has taken the error */
function handled(error: unknown, event: string): boolean {
  // A test that listens for errors gets them.
  if (process.hasUncaughtExceptionCaptureCallback()) return false;
  if (process.listenerCount('uncaughtException') > 0) return false;
  const domain = current();
  domain?.onerror(error, event);
  return domain !== undefined;
}

function noteDomain(_id: number, _type: string, _trigger: number, resource: Resource): void {
  resource[DOMAIN] = (executionAsyncResource() as Resource)[DOMAIN];
}

function activate(): void {
  if (isActive) return;
  isActive = true;
  createHook({ init: noteDomain }).enable();
  process.on('uncaughtExceptionMonitor', (error, origin) => {
    if (!handled(error, origin)) return;
    // So the process goes on.
    process.setUncaughtExceptionCaptureCallback(() => {
      process.setUncaughtExceptionCaptureCallback(null);
    });
  });
  // Not a listener: that would count as one that handles every rejection.
  Object.assign(process, {
    emit: (event: string, ...values: unknown[]): boolean => {
      if (event !== 'unhandledRejection' || process.listenerCount(event) > 0)
        return originalEmit(event, ...values);
      return handled(values[0], event);
    },
  });
}

/** What tap uses of the class of this name. */
export class Domain {
  readonly parent: Domain | undefined;
  readonly #take: (error: unknown, event: string) => void;
  isDestroyed = false;

  /** Takes the errors of the resource that runs now, and of all that is made from there. */
  constructor(take: (error: unknown, event: string) => void) {
    activate();
    this.parent = current();
    this.#take = take;
    (executionAsyncResource() as Resource)[DOMAIN] = this;
  }

  /** tap calls it, too. */
  get onerror(): (error: unknown, event: string) => void {
    return this.#take;
  }

  /** Its errors are those of the domain in which it was made. */
  destroy(): void {
    this.isDestroyed = true;
  }
}
