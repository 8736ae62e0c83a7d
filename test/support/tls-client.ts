// The raw NBD client inside TLS: negotiates TLS, runs the client side with Node.js, and trusts no answer.
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls';
import { NBD_OPT, NBD_REP } from '../../daemon/nbd/constants.js';
import type { Identity } from './tls-files.js';
import { RawNbdClient } from './nbd-client.js';
import type { NetConnectOpts } from 'node:net';

const TLS13 = 'TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256';
const PSK12 = 'ECDHE-PSK-CHACHA20-POLY1305:PSK-AES128-GCM-SHA256:PSK-NULL-SHA256';

/** Trusts `ca`, and presents `identity` if there is one. */
export function withCertificate(ca: string, identity?: Identity): ConnectionOptions {
  return { ca, servername: 'localhost', ...identity?.pem };
}

/** Uses a pre-shared key, and requests no certificate. */
export function withPsk(identity: string, psk: Buffer): ConnectionOptions {
  return {
    ciphers: `${TLS13}:${PSK12}`,
    pskCallback: () => ({ psk, identity }),
    checkServerIdentity: () => undefined,
  };
}

/** Sends NBD_OPT_STARTTLS and gets its acknowledgement; the next byte is TLS. */
export async function askForTls(client: RawNbdClient): Promise<void> {
  client.option(NBD_OPT.STARTTLS);
  const { type, data } = await client.optionReply(NBD_OPT.STARTTLS);
  if (type !== NBD_REP.ACK || data.length > 0) throw new Error(`STARTTLS: 0x${type.toString(16)}`);
}

/** TLS over the client's socket. @throws the client's error if the handshake fails */
export async function secure(
  client: RawNbdClient,
  options: ConnectionOptions,
): Promise<{ client: RawNbdClient; socket: TLSSocket }> {
  client.socket.removeAllListeners();
  const socket = connect({ ...options, socket: client.socket });
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed in the TLS handshake')));
  });
  socket.removeAllListeners('error');
  socket.removeAllListeners('close');
  return { client: RawNbdClient.over(socket), socket };
}

/** Connects a client up to the point inside TLS before any option. */
export async function connectTls(
  to: NetConnectOpts,
  options: ConnectionOptions,
): Promise<{ client: RawNbdClient; socket: TLSSocket }> {
  const plain = await RawNbdClient.connect(to);
  await plain.handshake();
  await askForTls(plain);
  return secure(plain, options);
}

/** Like {@link connectTls}, with the whole NBD handshake. */
export async function openTls(
  to: NetConnectOpts,
  options: ConnectionOptions,
  name = '',
): Promise<RawNbdClient> {
  const { client } = await connectTls(to, options);
  await client.go(name);
  return client;
}
