// Shows a text that was meant to be a URL or a reference without the login that it may have. Takes time in proportion to
// the length of the text, whatever it is.

/**
 * What may have "user:password@" after the scheme. Of any URL all, because passwords may have slashes. Of a reference no
 * further than the first slash: a digest comes after an @, too.
 */
const PLACES = [/(?<!docker):\/\/[^\s"']*/gi, /(?<=docker):\/\/[^\s"'/]*/gi];
const DIGEST = /^sha\d+:/i;
/** Characters that begin a digest. */
const DIGEST_BEGIN = 10;

/** The text with "..." instead of the user names and passwords of URLs. */
export function withoutLogin(text: string): string {
  return PLACES.reduce((shown, place) => shown.replace(place, hidden), text);
}

function hidden(place: string): string {
  let at = place.lastIndexOf('@');
  while (at > 0 && DIGEST.test(place.slice(at + 1, at + 1 + DIGEST_BEGIN))) {
    at = place.lastIndexOf('@', at - 1);
  }
  return at < 0 ? place : `://...${place.slice(at)}`;
}
