// Shows a text that was meant to be a URL or a reference without the login that it may have.

/**
 * "scheme://user:password@" of any URL, whose password may have slashes. Of a reference no further than the first slash:
 * a digest comes after an @, too.
 */
const LOGINS = [
  /\b((?!docker:)[a-z][a-z0-9+.-]*:\/\/)[^\s"']*@(?!sha\d+:)/gi,
  /\b(docker:\/\/)[^\s"'@/]*@/gi,
];

/** The text with "..." in place of the user names and passwords of URLs. */
export function withoutLogin(text: string): string {
  return LOGINS.reduce((shown, login) => shown.replace(login, '$1...@'), text);
}
