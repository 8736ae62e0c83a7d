// A registry, its token service, its store and a proxy in one server, which say in each error what the request had:
// passwords, tokens, signatures. The first part of a repository's name says how it fails.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';

/** What it gives out, beside the passwords of its clients. */
export const TOLD_TOKEN = 'tOkEn.given-by+the/token~service';
export const TOLD_SIGNATURE = 'S1gnature-0f+a/URL';

/**
 * A repository NAME-STATUS/... answers, after its login, with that status. bearer: the token service answers so. granted: it
 * gives a token, and the registry answers so. basic: it asks for a password. signed: it redirects to a signed URL, which answers so.
 */
const REPOSITORY = /^\/v2\/(bearer|granted|basic|signed)-(\d{3})\/(?:.+\/)?manifests\//;

export class Telltale {
  /** "127.0.0.1:PORT" */
  readonly host: string;
  /** The Authorization and Proxy-Authorization that it was sent. */
  readonly logins = new Set<string>();

  private constructor(host: string) {
    this.host = host;
  }

  static async start(t: Test): Promise<Telltale> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const telltale = new Telltale(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request, response) => void telltale.#answer(request, response));
    server.on('connect', (request, socket) => {
      telltale.#note(request);
      const login = request.headers['proxy-authorization'] ?? '';
      socket.end(`HTTP/1.1 407 ${login}\r\nx-login: ${login}\r\n\r\n${login}`);
    });
    t.teardown(() => {
      server.close();
      server.closeAllConnections();
    });
    return telltale;
  }

  #note({ headers }: IncomingMessage): void {
    for (const each of [headers.authorization, headers['proxy-authorization']]) {
      if (each !== undefined) this.logins.add(each);
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.#note(request);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const url = new URL(request.url ?? '/', `http://${this.host}`);
    const { authorization } = request.headers;
    const tell = (status: number, headers: Readonly<Record<string, string>> = {}): void => {
      const said = toldOf(request, url, Buffer.concat(parts).toString());
      response.writeHead(status, { ...headers, 'x-told': encodeURIComponent(said) });
      // The store's errors are XML.
      response.end(
        url.pathname === '/store'
          ? `<Error><Code>${said}</Code></Error>`
          : JSON.stringify({ errors: [{ code: said, message: said }], error: said }),
      );
    };
    if (url.pathname === '/token') {
      const status = Number(url.searchParams.get('status'));
      if (status !== 200) return tell(status);
      response.end(JSON.stringify({ token: TOLD_TOKEN }));
      return;
    }
    if (url.pathname === '/store') return tell(Number(url.searchParams.get('status')));
    const [, how, status = '400'] = REPOSITORY.exec(url.pathname) ?? [];
    if (how === 'signed') {
      const query = new URLSearchParams({ status, 'X-Amz-Signature': TOLD_SIGNATURE });
      response.writeHead(307, { Location: `/store?${query.toString()}` }).end();
    } else if (how === 'basic' && authorization === undefined) {
      tell(401, { 'WWW-Authenticate': 'Basic realm="told"' });
    } else if ((how === 'bearer' || how === 'granted') && !authorization?.includes(TOLD_TOKEN)) {
      const answer = how === 'granted' ? 200 : status;
      const realm = `http://${this.host}/token?status=${answer}`;
      tell(401, { 'WWW-Authenticate': `Bearer realm="${realm}",service="told"` });
    } else tell(Number(status));
  }
}

/** The whole request, what is secret first: a message shows the beginning of a long text. */
function toldOf({ headers }: IncomingMessage, url: URL, body: string): string {
  const { authorization = '', 'proxy-authorization': proxy = '' } = headers;
  const [, code = ''] = authorization.split(' ');
  const plain = Buffer.from(code, 'base64').toString('latin1');
  const form = Object.fromEntries(new URLSearchParams(body));
  const texts = [authorization, proxy, plain, JSON.stringify(form), body, url.search];
  const told = texts.filter((each) => each !== '').join(' ');
  // Tags would end the code.
  return told.replaceAll('<', ' ').replaceAll('\0', ' ');
}
