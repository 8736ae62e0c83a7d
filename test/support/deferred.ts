// A promise that a test ends when it wants.

/** A promise with its resolve and reject functions. */
export interface Deferred {
  promise: Promise<void>;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export function deferred(): Deferred {
  let ends: Omit<Deferred, 'promise'> | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    ends = { resolve: () => resolve(), reject };
  });
  return { promise, ...(ends as Omit<Deferred, 'promise'>) };
}
