// What a login is: a value. Never in a message.

export type Credential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** A refresh token, for a token service. */
  | { readonly kind: 'identity'; readonly token: string }
  /** A token for the registry itself. */
  | { readonly kind: 'bearer'; readonly token: string };

export function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

export function isSameCredential(a: Credential | null, b: Credential | null): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

/** Where a login comes from. */
export interface CredentialSource {
  /** A sentence for an operator whose login for this repository is missing or refused. */
  advice(host: string, repository: string): string;

  /**
   * @param host of the registry, with its port
   * @param fresh what was given before was refused: ask again
   * @returns null: none, ask without
   */
  get(
    host: string,
    repository: string,
    fresh: boolean,
    signal: AbortSignal,
  ): Promise<Credential | null>;
}
