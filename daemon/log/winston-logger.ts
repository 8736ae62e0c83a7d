// The logger's winston form. Lines go to standard error; standard output is for what commands are
// asked to print.

import { createLogger, format, transports } from 'winston';
import { LOG_LEVELS, type LogFormat, type LogLevel, type LogWriter } from './logger.js';

/** A logger that leaves out lines below `level`. */
export function createWinstonLogger(level: LogLevel, lineFormat: LogFormat): LogWriter {
  const winston = createLogger({
    level,
    format: lineFormat === 'json' ? format.json() : format.printf(prettyLine),
    transports: [new transports.Console({ stderrLevels: [...LOG_LEVELS] })],
  });
  return {
    log: (lineLevel, message, fields, at = new Date()) => {
      // As one object: winston would take a message with %s in it for a format, and drop the fields.
      winston.log({ ...fields, level: lineLevel, message, timestamp: at.toISOString() });
    },
  };
}

/** Control characters of a client's or a file's name must not move an operator's cursor. */
function prettyLine(info: { level: string; message: unknown; timestamp?: unknown }): string {
  const message = String(info.message).replace(/\p{Cc}/gu, (c) => JSON.stringify(c).slice(1, -1));
  return `${String(info.timestamp)} ${info.level}: ${message}`;
}
