// The implementation of the logger with winston. Lines go to standard error; standard output is for the
// results of commands.

import { setTimeout as pause } from 'node:timers/promises';
import { createLogger, format, transports } from 'winston';
import { counted } from '../lib/counted.js';
import { publicFact } from '../lib/fault.js';
import {
  MAX_MESSAGE_LENGTH,
  printableJsonLine,
  printableLine,
  shortened,
} from '../lib/printable.js';
import { priorityPrefix } from './journal.js';
import { FLUSH_MS, MAX_FIELD_LENGTH } from './limits.js';
import type { LogFields, LogFormat, LogLevel, LogWriter } from './logger.js';
import { StderrLines, type Sink } from './stderr-lines.js';

/** A logger that leaves out lines below `level`. @param sink a test passes another one than standard error */
export function createWinstonLogger(
  level: LogLevel,
  lineFormat: LogFormat,
  sink?: Sink,
  prefix = priorityPrefix(),
): LogWriter {
  const text = lineFormat === 'json' ? jsonLine : prettyLine;
  const line = (info: Info): string => prefix(info.level) + text(info);
  const lines = new StderrLines((count) => `${line(noticeOf(count))}\n`, sink);
  const winston = createLogger({
    level,
    format: format.printf((info) => line(info as unknown as Info)),
    transports: [new transports.Stream({ stream: lines, eol: '\n' })],
  });
  return {
    log: (lineLevel, message, fields = {}, at = new Date()) => {
      if (!winston.isLevelEnabled(lineLevel) || !lines.takes()) return;
      // Pass one object: winston would take a message with %s for a format, and drop the fields.
      winston.log({ ...infoOf(lineLevel, message, fields, at) });
    },
    flush: async () => {
      const ended = new Promise<void>((resolve) => lines.end(resolve));
      await Promise.race([ended, pause(FLUSH_MS, undefined, { ref: false })]);
    },
  };
}

interface Info extends LogFields {
  readonly level: LogLevel;
  readonly message: string;
  readonly timestamp: string;
}

function infoOf(level: LogLevel, message: string, fields: LogFields, at = new Date()): Info {
  return { ...fields, level, message, timestamp: at.toISOString() };
}

function noticeOf(count: number): Info {
  const what = `${counted(count, 'line')} ${count === 1 ? 'was' : 'were'}`;
  const message = `${what} left out: standard error did not accept them in time`;
  return infoOf('warn', message, { more: count });
}

/** Names in a message may come from a client or from a hostile file. */
function prettyLine({ level, message, timestamp }: Info): string {
  return `${timestamp} ${level}: ${printableLine(message)}`;
}

function jsonLine(info: Info): string {
  const entries = Object.entries(info).map(([name, value]) => {
    if (typeof value !== 'string') return [name, value];
    if (name === 'message') return [name, shortened(value, MAX_MESSAGE_LENGTH)];
    return [name, shortened(publicFact(value), MAX_FIELD_LENGTH)];
  });
  return printableJsonLine(Object.fromEntries(entries));
}
