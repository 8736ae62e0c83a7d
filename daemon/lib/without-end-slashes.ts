// Paths and parts of URLs without the slashes at their end.

const SLASH = 0x2f;

/** In one pass: `/\/+$/` looks at each slash of a long row again for every one before it. */
export function withoutEndSlashes(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === SLASH) end--;
  return text.slice(0, end);
}
