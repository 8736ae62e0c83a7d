// The options of `serve` about who may connect and where, and what they make of the configuration.

import type { Argv } from 'yargs';
import type { DaemonConfig } from '../../config/daemon-config.js';
import { DEFAULT_LISTEN, nbdUri } from '../../config/listen-address.js';
import {
  listenerSpec,
  parseAccount,
  parseMode,
  type ListenerConfig,
  type ListenerSpec,
} from '../../config/listener.js';
import { errorOf } from '../../lib/fault.js';
import { DEFAULT_CONNECTIONS_PER_PEER } from '../../listen/limits.js';
import type { ListenOptions } from '../../listen/clients.js';
import type { ActivatedSocket } from '../../listen/socket-activation.js';
import { badArgument, notWith } from './values.js';

export interface ListenArguments {
  listen?: string[] | undefined;
  stdio?: boolean | undefined;
  'on-demand'?: boolean | undefined;
  'socket-mode'?: string | undefined;
  'socket-owner'?: string | undefined;
  'socket-group'?: string | undefined;
  'allow-user'?: string[] | undefined;
  'max-connections-per-peer'?: number | undefined;
}

const SOCKET_OPTIONS = ['socket-mode', 'socket-owner', 'socket-group'] as const;
/** With --stdio there is one client, which is connected already: these options would have no effect. */
const NOT_WITH_STDIO = [
  'listen',
  'on-demand',
  ...SOCKET_OPTIONS,
  'allow-user',
  'max-connections-per-peer',
] as const;

export function listenOptions<T>(yargs: Argv<T>): Argv<T & ListenArguments> {
  return yargs
    .option('listen', {
      alias: 'l',
      describe: `tcp://HOST:PORT, unix:///PATH or vsock://CID:PORT; repeatable [default: ${DEFAULT_LISTEN}]`,
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('stdio', {
      alias: 's',
      describe: 'serve one client on standard input and output, then end',
      type: 'boolean',
    })
    .option('on-demand', {
      describe: 'serve what `attach` asks for, and end when all is detached; needs no image here',
      type: 'boolean',
    })
    .option('socket-mode', {
      describe: 'mode of the Unix sockets, such as 0660',
      type: 'string',
      requiresArg: true,
    })
    .option('socket-owner', {
      describe: 'owner of the Unix sockets, by name or number',
      type: 'string',
      requiresArg: true,
    })
    .option('socket-group', {
      describe: 'group of the Unix sockets, by name or number',
      type: 'string',
      requiresArg: true,
    })
    .option('allow-user', {
      describe: 'user who may connect to the Unix sockets, by name or number; repeatable',
      type: 'string',
      array: true,
      nargs: 1,
    })
    .option('max-connections-per-peer', {
      describe: `most connections of one address, user or CID [default: ${DEFAULT_CONNECTIONS_PER_PEER}]`,
      type: 'number',
      requiresArg: true,
    })
    .check(notWith('stdio', NOT_WITH_STDIO));
}

/**
 * Where to listen. Sockets that were passed to us take the place of the default address.
 * @param exports the names of all exports
 * @throws OverlaybdError BAD_ARGUMENT, BAD_CONFIG
 */
export function listeners(
  args: ListenArguments,
  config: DaemonConfig,
  exports: ReadonlySet<string>,
  inherited: readonly ActivatedSocket[],
): Pick<ListenOptions, 'listen' | 'activated'> {
  const overrides = overridesOf(args);
  const spec = (each: ListenerConfig): ListenerSpec => ({ ...listenerSpec(each), ...overrides });
  const fallback = inherited.length > 0 || args['on-demand'] ? [] : [DEFAULT_LISTEN];
  const given = args.stdio ? [] : (args.listen ?? config.listen ?? fallback);
  const specs = given.map(spec);
  for (const [i, each] of specs.entries()) checkExports(i, each, exports);
  checkTwice(specs);
  const activated = inherited.map((socket) => {
    const named = specs.find(
      ({ address }) => address.kind === 'fd' && address.name === socket.name,
    );
    return { socket, spec: named ?? spec(`fd://${socket.name}`) };
  });
  const listen = specs.filter((each) => !activated.some(({ spec: used }) => used === each));
  checkUsable(args, listen, activated.length > 0);
  return { listen, activated };
}

function overridesOf(args: ListenArguments): Partial<ListenerSpec> {
  const users = args['allow-user'];
  const most = args['max-connections-per-peer'];
  const owner = args['socket-owner'];
  const group = args['socket-group'];
  const modeText = args['socket-mode'];
  const mode = modeText === undefined ? undefined : parseMode(modeText);
  if (modeText !== undefined && mode === undefined) {
    throw badArgument(`--socket-mode ${JSON.stringify(modeText)}: not octal digits such as 0660`);
  }
  if (most !== undefined && !(Number.isInteger(most) && most >= 1)) {
    throw badArgument(`--max-connections-per-peer ${most}: not an integer of 1 or more`);
  }
  return {
    ...(users && { users: users.map(parseAccount) }),
    ...(most !== undefined && { maxConnectionsPerPeer: most }),
    ...(mode !== undefined && { mode }),
    ...(owner !== undefined && { owner: parseAccount(owner) }),
    ...(group !== undefined && { group: parseAccount(group) }),
  };
}

function checkExports(i: number, spec: ListenerSpec, exports: ReadonlySet<string>): void {
  for (const [j, name] of (spec.exports ?? []).entries()) {
    if (exports.has(name)) continue;
    const got = JSON.stringify(name);
    const place = { section: `listen.${i}.exports.${j}`, got };
    throw errorOf('BAD_CONFIG', place, `there is no export named ${got}`);
  }
}

/** Without this check the second listener would report that another process listens there. */
function checkTwice(specs: readonly ListenerSpec[]): void {
  const seen = new Set<string>();
  for (const { address } of specs) {
    // With port 0 each gets a port of its own.
    if ('port' in address && address.port === 0) continue;
    const key = JSON.stringify(address);
    if (seen.has(key)) {
      const url = nbdUri(address);
      throw errorOf('BAD_CONFIG', { url }, 'two listeners have this address');
    }
    seen.add(key);
  }
}

/** Refuses options that would have no effect: an operator would rely on their protection. */
function checkUsable(
  args: ListenArguments,
  listen: readonly ListenerSpec[],
  hasActivated: boolean,
): void {
  const option = SOCKET_OPTIONS.find((each) => args[each] !== undefined);
  if (option !== undefined && !listen.some(({ address }) => address.kind === 'unix')) {
    throw badArgument(`--${option}: no unix:// address to listen on`);
  }
  const other = listen.find(({ address }) => address.kind !== 'unix' && address.kind !== 'fd');
  if (args['allow-user'] && other) {
    throw badArgument(`--allow-user: the users of ${nbdUri(other.address)} cannot be identified`);
  }
  if (args['allow-user'] && listen.length === 0 && !hasActivated) {
    throw badArgument('--allow-user: no Unix socket to listen on');
  }
}
