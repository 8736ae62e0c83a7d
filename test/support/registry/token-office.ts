// Who may read from the fault front: passwords, tokens with a time to live, and the challenges that ask for them.
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export interface AuthOptions {
  readonly scheme: 'basic' | 'bearer';
  /** Passwords by name. */
  readonly users?: Readonly<Record<string, string>>;
  /** Whether the realm gives tokens to those without a password. */
  readonly anonymous?: boolean;
  /** Seconds that a token is good for; 300 if left out. */
  readonly ttl?: number;
  /** What the answer says as `expires_in`; null: nothing; the ttl if left out. */
  readonly expiresIn?: number | null;
  /** Seconds that the server's clock is ahead, which shows in `issued_at`. */
  readonly skew?: number;
  /** The field with the token; both if left out. */
  readonly field?: 'token' | 'access_token';
  /** The methods that the realm knows; both if left out. */
  readonly methods?: readonly ('GET' | 'POST')[];
  /** An identity token, for which POST gives tokens. */
  readonly identityToken?: string;
  /** What else the registry would take, and how it says so; Bearer or Basic alone if left out. */
  readonly challenges?: 'one' | 'one header' | 'several headers';
  /** The status of a refusal; 401 if left out. Some registries say 403 once a login has expired. */
  readonly refusal?: 401 | 403;
}

export interface TokenAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const SERVICE = 'test registry, with a comma';

export class TokenOffice {
  readonly #options: AuthOptions;
  /** When each token ends, in milliseconds of performance.now(), and the repository that it is for. */
  readonly #tokens = new Map<string, { end: number; repository: string }>();
  /** Tokens given out. */
  issued = 0;

  constructor(options: AuthOptions) {
    this.#options = options;
  }

  /** No token that was given out so far is good any longer. */
  expireAll(): void {
    this.#tokens.clear();
  }

  get refusal(): number {
    return this.#options.refusal ?? 401;
  }

  /** Whether the header lets a client read from the repository. */
  allows(authorization: string | undefined, repository: string): boolean {
    const { scheme } = this.#options;
    if (authorization === undefined) return false;
    if (scheme === 'basic') return this.#knows(authorization);
    const token = this.#tokens.get(authorization.replace(/^bearer /i, ''));
    return token !== undefined && token.end > performance.now() && token.repository === repository;
  }

  /** The values of WWW-Authenticate. */
  challenges(realm: string, repository: string): string[] {
    const { scheme, challenges = 'one' } = this.#options;
    const scope = repository === '' ? '' : `,scope="repository:${repository}:pull"`;
    const own =
      scheme === 'basic'
        ? 'Basic realm="test registry"'
        : `Bearer realm="${realm}",service="${SERVICE}"${scope}`;
    const other = 'Negotiate abc==';
    if (challenges === 'one') return [own];
    const all = [other, own, 'Digest realm="a, b=\\"c\\"", nonce="x", qop="auth,auth-int"'];
    return challenges === 'several headers' ? all : [all.join(', ')];
  }

  /** What the realm answers. @param form of a POST; null for a GET */
  answer(request: IncomingMessage, query: URLSearchParams, form: string | null): TokenAnswer {
    const { methods = ['GET', 'POST'], anonymous = false, identityToken } = this.#options;
    const refused = { status: 401, body: { errors: [{ code: 'UNAUTHORIZED' }] } };
    if (!methods.includes(form === null ? 'GET' : 'POST')) {
      return { status: 404, body: { errors: [{ code: 'NOT_FOUND' }] } };
    }
    if (form !== null) {
      const values = new URLSearchParams(form);
      const byIdentity =
        values.get('grant_type') === 'refresh_token' &&
        identityToken !== undefined &&
        values.get('refresh_token') === identityToken;
      const byPassword =
        values.get('grant_type') === 'password' &&
        this.#isUser(values.get('username'), values.get('password'));
      return byIdentity || byPassword ? this.#issue(values) : refused;
    }
    const { authorization } = request.headers;
    const good = authorization === undefined ? anonymous : this.#knows(authorization);
    return good ? this.#issue(query) : refused;
  }

  #issue(values: URLSearchParams): TokenAnswer {
    if (values.get('service') !== SERVICE) {
      return { status: 400, body: { errors: [{ code: 'UNSUPPORTED', message: 'service' }] } };
    }
    const { ttl = 300, expiresIn = ttl, skew = 0, field } = this.#options;
    const scope = values.getAll('scope').flatMap((each) => each.split(' '))[0] ?? '';
    const token = randomBytes(12).toString('hex');
    this.#tokens.set(token, {
      end: performance.now() + ttl * 1000,
      repository: scope.replace(/^repository:/, '').replace(/:[a-z,]*$/, ''),
    });
    this.issued++;
    const body = {
      ...(field !== 'access_token' && { token }),
      ...(field !== 'token' && { access_token: token }),
      ...(expiresIn !== null && { expires_in: expiresIn }),
      issued_at: new Date(Date.now() + skew * 1000).toISOString(),
    };
    return { status: 200, body };
  }

  #knows(authorization: string): boolean {
    const [scheme = '', value = ''] = authorization.split(' ', 2);
    if (scheme.toLowerCase() !== 'basic') return false;
    const text = Buffer.from(value, 'base64').toString();
    const colon = text.indexOf(':');
    return this.#isUser(text.slice(0, colon), text.slice(colon + 1));
  }

  #isUser(name: string | null, password: string | null): boolean {
    const { users = {} } = this.#options;
    return name !== null && password !== null && users[name] === password;
  }
}
