// The logger of the daemon: interface, levels and formats. The implementation is in winston-logger.ts, so that
// importing this file does not load winston.

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ['pretty', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Facts of a line, by name. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** `message` has all facts, for people; `fields` are the same facts for programs. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

/** The implementation that writes lines. */
export interface LogWriter extends Logger {
  /** @param at time of the line, if that is not now */
  log(level: LogLevel, message: string, fields?: LogFields, at?: Date): void;
  /** For the end of the process: resolves when all lines are written, or after a time limit. */
  flush(): Promise<void>;
}
