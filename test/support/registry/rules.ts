// What the fault front does wrong, and when: rules that a test adds while it runs. Sends nothing itself.

import type { ErrorBody } from './send-status.js';

/** What a request asks for. `data` in a rule is whichever of `blob` and `store` answers with bytes and not with a redirect. */
export type RequestKind = 'ping' | 'manifest' | 'referrers' | 'blob' | 'store' | 'token' | 'other';

export interface RuleMatch {
  /** Any if left out. */
  readonly kind?: RequestKind | 'data';
  readonly method?: string;
  /** Of the blob, or what the path of a manifest ends with: a tag or a digest. */
  readonly reference?: string;
  /** A byte of the blob that the range has. */
  readonly covers?: number;
  /** Only ranges at least this long, in bytes. */
  readonly longerThan?: number;
}

/** What is done before there is an answer, or instead of one. */
export type InsteadAction =
  /** An error, or any other answer without the content. */
  | {
      readonly do: 'status';
      readonly status: number;
      readonly body?: ErrorBody;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** 401 (or what the registry says for it), as for a token that has expired. */
  | { readonly do: 'unauthorized' }
  | { readonly do: 'redirect'; readonly to: string; readonly status?: number }
  /** The right answer, later. */
  | { readonly do: 'delay'; readonly ms: number }
  /** Nothing until {@link RuleHandle.release}, then the right answer. */
  | { readonly do: 'stall' }
  /** A TCP reset. */
  | { readonly do: 'reset' }
  /** The connection ends in order. */
  | { readonly do: 'close' }
  /** These bytes instead of an answer in HTTP; then the connection ends. */
  | { readonly do: 'raw'; readonly text: string };

/** What is wrong with an answer that has bytes of a blob. Sizes and positions are bytes of the body. */
export type BodyAction =
  | { readonly do: 'reset-after'; readonly after: number }
  /** Nothing more until {@link RuleHandle.release}, then the rest. */
  | { readonly do: 'stall-after'; readonly after: number }
  /**
   * The body ends too early. `length` is how its length was announced: 'declared' the whole length, 'actual' the
   * length that it has, 'none' not at all (the end of the connection ends it), 'chunked' by chunks, the last one
   * of which is missing.
   */
  | {
      readonly do: 'cut';
      readonly after: number;
      readonly length: 'declared' | 'actual' | 'none' | 'chunked';
    }
  | { readonly do: 'drip'; readonly bytes: number; readonly everyMs: number }
  /** Bytes after the range, with a Content-Length that counts them or none. */
  | { readonly do: 'excess'; readonly bytes: number; readonly length: 'declared' | 'none' }
  /** Content-Range as it is here, whatever the body is; null: the header is missing. */
  | { readonly do: 'content-range'; readonly value: string | null }
  /** What is added to the numbers of Content-Range. */
  | {
      readonly do: 'shifted-range';
      readonly first?: number;
      readonly last?: number;
      readonly total?: number;
    }
  /** Another range than the one that was asked for, correctly announced: what is added to first and last. */
  | { readonly do: 'other-range'; readonly first?: number; readonly last?: number }
  /** 200 and the whole blob. */
  | { readonly do: 'whole' }
  /** Content-Encoding: gzip. */
  | { readonly do: 'gzip' }
  /** One bit of the byte at this position of the blob is another one. */
  | { readonly do: 'corrupt'; readonly at: number };

export type Action = InsteadAction | BodyAction;

const BODY_ACTIONS: ReadonlySet<Action['do']> = new Set<BodyAction['do']>([
  'reset-after',
  'stall-after',
  'cut',
  'drip',
  'excess',
  'content-range',
  'shifted-range',
  'other-range',
  'whole',
  'gzip',
  'corrupt',
]);

export function isBodyAction(action: Action): action is BodyAction {
  return BODY_ACTIONS.has(action.do);
}

export interface Rule {
  readonly match: RuleMatch;
  readonly action: Action;
  /** How many requests that match are answered rightly before. 0 if left out. */
  readonly skip?: number;
  /** How many requests it is for. All if left out. */
  readonly times?: number;
}

/** What a rule is compared with. */
export interface RuleSubject {
  readonly kind: RequestKind;
  /** Whether a right answer would have bytes of a blob. */
  readonly data: boolean;
  readonly method: string;
  readonly reference: string | null;
  /** Inclusive; null: the request has no range. */
  readonly range: { readonly first: number; readonly last: number } | null;
}

export class RuleHandle {
  readonly rule: Rule;
  /** Requests that it was applied to. */
  hits = 0;
  #seen = 0;
  #waiters: (() => void)[] = [];
  #released = false;

  constructor(rule: Rule) {
    this.rule = rule;
  }

  /** Lets go all that have stalled by this rule; those after it do not stall. */
  release(): void {
    this.#released = true;
    for (const wake of this.#waiters.splice(0)) wake();
  }

  /** Resolves when the rule is released. */
  released(): Promise<void> {
    if (this.#released) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiters.push(resolve);
    });
  }

  /** Whether it is for this request; counts it then. */
  takes(subject: RuleSubject): boolean {
    const { skip = 0, times = Infinity } = this.rule;
    if (this.#released || !matches(this.rule.match, subject)) return false;
    const applies = this.#seen >= skip && this.hits < times;
    this.#seen++;
    if (applies) this.hits++;
    return applies;
  }
}

export class Rules {
  #handles: RuleHandle[] = [];

  /** The first of the rules that match decides. */
  add(rule: Rule): RuleHandle {
    const handle = new RuleHandle(rule);
    this.#handles.push(handle);
    return handle;
  }

  /** Ends all rules; what has stalled goes on. */
  clear(): void {
    for (const handle of this.#handles.splice(0)) handle.release();
  }

  take(subject: RuleSubject): RuleHandle | null {
    return this.#handles.find((handle) => handle.takes(subject)) ?? null;
  }
}

function matches(match: RuleMatch, subject: RuleSubject): boolean {
  const { kind, method, reference, covers, longerThan } = match;
  const { range } = subject;
  if (kind === 'data' ? !subject.data : kind !== undefined && kind !== subject.kind) return false;
  if (method !== undefined && method !== subject.method) return false;
  if (reference !== undefined && reference !== subject.reference) return false;
  if (covers !== undefined && (!range || covers < range.first || covers > range.last)) return false;
  return longerThan === undefined || (range !== null && range.last - range.first >= longerThan);
}
