// The seed of random test cases: the same in every run unless another is requested. It has no generators.

/** $OVERLAYBD_TEST_SEED, to find new cases or to repeat a failure; otherwise 1. */
export const SEED = Number(process.env['OVERLAYBD_TEST_SEED'] ?? 1);
