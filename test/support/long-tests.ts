// Tests with a long form: many more cases of the same, with $OVERLAYBD_LONG_TESTS=1. CI plays those of all but the
// property tests.
export const isLong = process.env['OVERLAYBD_LONG_TESTS'] === '1';

/** How many cases a test plays. */
export const usualOrLong = (usual: number, long: number): number => (isLong ? long : usual);
