// Parses WWW-Authenticate (RFC 9110, 11.6.1): several challenges in one field or in several, quoted strings with
// commas, any case. Pure.

export interface Challenge {
  /** Lower case: "bearer", "basic". */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Challenges of one answer that are looked at. */
const MAX_CHALLENGES = 16;
/** Characters of the field; what is longer is not looked at. */
const MAX_LENGTH = 16 << 10;

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const TOKEN68 = /[A-Za-z0-9\-._~+/]+=*(?=\s*(?:,|$))/y;
const SPACE = /[ \t]+/y;
const SEPARATORS = /[ \t,]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
/** Some servers leave quotes out and have slashes and colons in the value. */
const BARE = /[^\s,"]+/y;

export function parseChallenges(field: string | readonly string[] | undefined): Challenge[] {
  const text = (typeof field === 'string' ? field : (field ?? []).join(', ')).slice(0, MAX_LENGTH);
  let at = 0;
  const take = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) return null;
    at = pattern.lastIndex;
    return found[1] ?? found[0];
  };
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  while (at < text.length) {
    if (take(SEPARATORS) !== null) continue;
    const name = take(TOKEN);
    if (name === null) {
      at++;
      continue;
    }
    const last = challenges.at(-1);
    if (last && take(EQUALS) !== null) {
      const value = take(QUOTED)?.replace(/\\(.)/g, '$1') ?? take(BARE) ?? '';
      const key = name.toLowerCase();
      // The first one counts: a second may be an attempt to override it.
      if (!last.parameters.has(key)) last.parameters.set(key, value);
      continue;
    }
    if (challenges.length === MAX_CHALLENGES) break;
    challenges.push({ scheme: name.toLowerCase(), parameters: new Map() });
    // "Negotiate oRo..." has data of its own instead of parameters.
    if (take(SPACE) !== null) take(TOKEN68);
  }
  return challenges;
}

/** The challenge that we can answer: a token is better than a password in each request. */
export function bestChallenge(challenges: readonly Challenge[]): Challenge | null {
  const bearer = challenges.find(
    (each) => each.scheme === 'bearer' && each.parameters.has('realm'),
  );
  return bearer ?? challenges.find((each) => each.scheme === 'basic') ?? null;
}
