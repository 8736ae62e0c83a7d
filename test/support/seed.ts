// The seed of random test cases: the same in every run, unless another is asked for; no generators.

/** $OVERLAYBD_TEST_SEED, to look for new cases or to repeat those of a failure; 1 without it. */
export const SEED = Number(process.env['OVERLAYBD_TEST_SEED'] ?? 1);
