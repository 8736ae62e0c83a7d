// Times as tables of contents have them: RFC 3339, as Go writes it.

const FORM = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(?:Z|([+-])(\d\d):(\d\d))$/;

export interface Time {
  /** Since 1970; negative before. */
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** @returns null if it is none */
export function parseTime(text: string): Time | null {
  const [, local, fraction = '', sign, hours = '0', minutes = '0'] = FORM.exec(text) ?? [];
  if (local === undefined) return null;
  const ms = Date.parse(`${local}Z`);
  if (Number.isNaN(ms)) return null;
  const zone = (Number(hours) * 60 + Number(minutes)) * 60;
  return {
    seconds: ms / 1000 - (sign === '-' ? -zone : zone),
    nanoseconds: Number(fraction.padEnd(9, '0')),
  };
}
