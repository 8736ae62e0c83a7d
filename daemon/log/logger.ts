// The logger that everything in the control plane writes to: an interface, levels and formats. The
// implementation is apart (winston-logger.ts), so that nobody loads winston only to know these.

export const LOG_LEVELS = ['error', 'warn', 'info', 'debug'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const LOG_FORMATS = ['pretty', 'json'] as const;
export type LogFormat = (typeof LOG_FORMATS)[number];

/** Facts that go with a line, by name. */
export type LogFields = Readonly<Record<string, string | number | boolean | null>>;

/** `message` is for people and complete; `fields` are the same facts for machines. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: LogFields): void;
}

/** What lines are written by in the end. */
export interface LogWriter extends Logger {
  /** @param at when it happened, if that is not now */
  log(level: LogLevel, message: string, fields?: LogFields, at?: Date): void;
  /** At the end: resolves when all lines are out, or after a while in which nobody took them. */
  flush(): Promise<void>;
}
