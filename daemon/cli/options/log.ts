// The options about the log, for commands that are services.

import type { Argv } from 'yargs';
import { DeferredLogger } from '../../log/deferred-logger.js';
import { LOG_FORMATS, LOG_LEVELS, type LogFormat, type LogLevel } from '../../log/logger.js';

export interface LogArguments {
  'log-level'?: LogLevel | undefined;
  'log-format'?: LogFormat | undefined;
}

export function logOptions<T>(yargs: Argv<T>): Argv<T & LogArguments> {
  return yargs
    .option('log-level', {
      choices: LOG_LEVELS,
      describe: 'lowest level to log',
      requiresArg: true,
    })
    .option('log-format', {
      choices: LOG_FORMATS,
      describe: 'format of the lines on standard error',
      requiresArg: true,
    });
}

/** Lines are written once winston is loaded; see log/deferred-logger.ts. */
export function openLog(level: LogLevel, format: LogFormat): DeferredLogger {
  return new DeferredLogger(async () => {
    const { createWinstonLogger } = await import('../../log/winston-logger.js');
    return createWinstonLogger(level, format);
  });
}
