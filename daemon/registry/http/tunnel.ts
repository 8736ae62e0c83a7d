// Makes connections through a proxy, for origins of https: CONNECT, then TLS with the origin inside. undici's own
// ProxyAgent does the same, but says nothing of how long each phase takes.

import type { Socket } from 'node:net';
import { buildConnector, errors, type Dispatcher } from 'undici';
import type { ConnectSeams } from './connector.js';
import type { ConnectPhase } from './counters.js';

/** The answer of a proxy that makes no tunnel; `failureOf` knows its beginning. */
const REFUSAL = 'Proxy response';

/** The part of undici's Pool that is used here. */
interface Proxy {
  connect(
    request: { readonly path: string; readonly headers: Readonly<Record<string, string>> },
    callback: (error: Error | null, data: Dispatcher.ConnectData) => void,
  ): void;
}

/**
 * For the option `connect` of pools. `connect` is the time of CONNECT, a connection to the proxy included if there was none;
 * the phases of that one are the proxy's own.
 * @param proxy connections to the proxy
 * @param url of the proxy, which may have a name and password
 * @param secure options of TLS with the origin, and its time limit
 */
export function tunnelConnector(
  { now, took }: Pick<ConnectSeams, 'now' | 'took'>,
  proxy: Proxy,
  url: URL,
  secure: buildConnector.BuildOptions,
): buildConnector.connector {
  const startTls = buildConnector(secure);
  const login = loginOf(url);
  return (options, callback) => {
    const { hostname, host = hostname, port } = options;
    let began = now();
    const ended = (phase: ConnectPhase): void => {
      const at = now();
      took(host, phase, at - began);
      began = at;
    };
    const request = {
      path: port ? host : `${host}:443`,
      headers: { host, 'proxy-connection': 'keep-alive', ...login },
    };
    proxy.connect(request, (error, data) => {
      if (error) {
        callback(failedTunnel(error), null);
        return;
      }
      const { socket, statusCode } = data;
      if (statusCode !== 200) {
        socket.on('error', () => undefined).destroy();
        callback(new Error(`${REFUSAL} (${statusCode}) to CONNECT`), null);
        return;
      }
      ended('connect');
      startTls({ ...options, httpSocket: socket as Socket }, (...result) => {
        if (result[0] === null) ended('tls');
        callback(...result);
      });
    });
  };
}

/** undici takes this code for one of the origin, and would ask the proxy for ever. */
function failedTunnel(error: Error): Error {
  if ((error as NodeJS.ErrnoException).code !== 'ERR_TLS_CERT_ALTNAME_INVALID') return error;
  return new errors.SecureProxyConnectionError(error, error.message);
}

function loginOf({ username, password }: URL): Record<string, string> {
  if (username === '' || password === '') return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(text).toString('base64')}` };
}
