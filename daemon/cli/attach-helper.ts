// `overlaybd-nbd attach-helper`: connects devices for daemons without privileges. Its socket unit starts it,
// as root or with only CAP_SYS_ADMIN.

import type { Argv } from 'yargs';
import { parseAccount } from '../config/listener.js';
import { AttachHelper, type HelperLog } from '../kernel/attach-helper.js';
import { DEFAULT_HELPER_SOCKET } from '../kernel/helper-protocol.js';
import { NetlinkDriver } from '../kernel/netlink-driver.js';
import { Sysfs } from '../kernel/sysfs.js';
import { userId } from '../listen/accounts.js';
import { Listener } from '../listen/listener.js';
import { takeListening, openListening } from '../listen/listening-socket.js';
import { listenerSpec } from '../config/listener.js';
import { errorOf } from '../lib/fault.js';
import { SdNotify } from '../server/sd-notify.js';
import { takeActivatedSockets } from '../listen/socket-activation.js';
import { CountedLog } from '../log/counted-log.js';
import { EXIT_OK } from './exit-codes.js';
import { logOptions, openLog, type LogArguments } from './options/log.js';
import { Signals } from '../server/signals.js';

/** The helper ends after this time without a daemon; systemd starts it again for the next connection. */
const IDLE_MS = 30_000;

export interface AttachHelperArguments extends LogArguments {
  socket?: string | undefined;
  'allow-user'?: string[] | undefined;
}

export function builder(yargs: Argv): Argv<AttachHelperArguments> {
  return logOptions(yargs)
    .option('socket', {
      describe: `socket to listen on without systemd [default: ${DEFAULT_HELPER_SOCKET}]`,
      type: 'string',
      requiresArg: true,
    })
    .option('allow-user', {
      describe: 'user (besides root) whose daemons may ask, by name or number; repeatable',
      type: 'string',
      array: true,
      nargs: 1,
    });
}

/** Runs until SIGTERM or SIGINT, and under systemd until it has had no daemon for a while. */
export async function run(args: AttachHelperArguments): Promise<number> {
  const log = openLog(args['log-level'] ?? 'info', args['log-format'] ?? 'pretty');
  void log.write();
  const counted = new CountedLog(log);
  try {
    await serve(args, (level, message) => {
      // A user who connects again and again does so with a new process each time.
      if (level === 'info') log.log(level, message);
      else counted.log(message.replace(/^pid \d+/, ''), level, message);
    });
    counted.sweep(true);
    return EXIT_OK;
  } finally {
    await log.flush();
  }
}

async function serve(args: AttachHelperArguments, log: HelperLog): Promise<void> {
  const activated = takeActivatedSockets(process.env, process.pid);
  const manager = SdNotify.fromEnvironment(process.env, process.pid);
  const signals = new Signals(false);
  const users = (args['allow-user'] ?? []).map(parseAccount).map(userId);
  let timer: NodeJS.Timeout | undefined;
  const idle = (): void => {
    if (activated.length === 0) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (helper.isNeeded) idle();
      else if (helper.connections === 0) signals.end('idle');
    }, IDLE_MS);
  };
  const sysfs = new Sysfs();
  const driver = new NetlinkDriver(sysfs);
  const helper = new AttachHelper({ driver, sysfs, users, log, idle });
  const sockets =
    activated.length > 0
      ? activated.map(({ fd }) => takeListening(fd))
      : await openListening(
          listenerSpec({ address: `unix://${args.socket ?? DEFAULT_HELPER_SOCKET}`, mode: '0666' }),
        );
  const listeners = sockets.map(
    (socket) =>
      new Listener(
        socket,
        socket.uri,
        (fd) => helper.adopt(fd),
        (why) => log('error', `${socket.uri}: ${why}`),
      ),
  );
  if (listeners.length === 0)
    throw errorOf('BAD_CONFIG', { section: '--socket' }, 'there is no socket to listen on');
  idle();
  manager.ready('waiting for daemons');
  const why = await signals.ended;
  log('info', `${why}: stopped`);
  clearTimeout(timer);
  for (const listener of listeners) listener.close();
  helper.close();
}
