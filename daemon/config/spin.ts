// How long a thread that serves clients looks for the next request before it sleeps: `--spin`, and "spin" of daemon.json.

import * as v from 'valibot';

/** The longest look, in microseconds: the addon's own limit. */
export const MAX_SPIN_US = 1000;
/** Microseconds of `auto`: a client that sends its next request when it has the reply needs 5 to 40. */
export const AUTO_SPIN_US = 50;

const FORMS = `"off", "auto" or microseconds from 1 to ${MAX_SPIN_US}`;

/** Accepts the forms of daemon.json. Its output is microseconds; 0 is off. */
export const spinSchema = v.pipe(
  v.custom<string | number>(
    (value) => microsecondsOf(value) !== null,
    ({ input }) => `${JSON.stringify(input) ?? typeof input} is not ${FORMS}`,
  ),
  v.transform((value) => microsecondsOf(value) as number),
);

/** @returns microseconds, 0 for off; null: not a setting */
export function parseSpin(text: string): number | null {
  return microsecondsOf(/^[1-9][0-9]{0,8}$/.test(text) ? Number(text) : text);
}

export const SPIN_FORMS = FORMS.replaceAll('"', '');

function microsecondsOf(value: unknown): number | null {
  if (value === 'off') return 0;
  if (value === 'auto') return AUTO_SPIN_US;
  const isTime = Number.isSafeInteger(value) && (value as number) >= 1;
  return isTime && (value as number) <= MAX_SPIN_US ? (value as number) : null;
}
