// Every fault that registries, stores and proxies have been seen with, and what a reader may see of it if it goes on.
import type { Action } from './rules.js';

/**
 * 'error': EIO. 'either': the bytes, or EIO; it depends on what can be saved of each answer, and on the time. Never
 * wrong bytes.
 */
export type Outcome = 'error' | 'either';

export interface Fault {
  readonly name: string;
  readonly action: Action;
  /** If every answer with data has it; null: a client rightly remembers it for longer than tests should take. */
  readonly lasting: Outcome | null;
  /** Whether two answers with it are overcome within a deadline; else a read may fail, and the next one is right. */
  readonly overcome: boolean;
}

export const FAULTS: readonly Fault[] = [
  ...(['html', 'json'] as const).map((body): Fault => ({
    name: `503 with ${body}`,
    action: { do: 'status', status: 503, body },
    lasting: 'error',
    overcome: true,
  })),
  {
    name: '429 with seconds',
    action: { do: 'status', status: 429, headers: { 'Retry-After': '1' } },
    lasting: 'error',
    overcome: true,
  },
  {
    name: '429 with a date that has passed',
    action: {
      do: 'status',
      status: 429,
      headers: { 'Retry-After': 'Mon, 01 Jan 2024 00:00:00 GMT' },
    },
    lasting: 'error',
    overcome: true,
  },
  {
    name: '404',
    action: { do: 'status', status: 404 },
    lasting: null,
    overcome: false,
  },
  {
    name: '416',
    action: { do: 'status', status: 416, body: 'none', headers: { 'Content-Range': 'bytes */5' } },
    lasting: 'error',
    overcome: false,
  },
  {
    name: '206 without a body',
    action: { do: 'status', status: 206, body: 'none' },
    lasting: 'error',
    overcome: false,
  },
  { name: 'reset', action: { do: 'reset' }, lasting: 'error', overcome: true },
  { name: 'end of the connection', action: { do: 'close' }, lasting: 'error', overcome: true },
  {
    name: 'reset in the body',
    action: { do: 'reset-after', after: 20_000 },
    lasting: 'error',
    overcome: true,
  },
  { name: 'stall', action: { do: 'stall' }, lasting: 'error', overcome: true },
  {
    name: 'stall in the body',
    action: { do: 'stall-after', after: 20_000 },
    lasting: 'error',
    overcome: true,
  },
  {
    name: 'drip',
    action: { do: 'drip', bytes: 500, everyMs: 200 },
    lasting: 'error',
    overcome: true,
  },
  { name: 'latency', action: { do: 'delay', ms: 100 }, lasting: 'either', overcome: true },
  ...(['declared', 'actual', 'none', 'chunked'] as const).map((length): Fault => ({
    name: `cut, length ${length}`,
    action: { do: 'cut', after: 20_000, length },
    lasting: 'error',
    overcome: length !== 'actual',
  })),
  {
    name: 'cut after some chunks',
    action: { do: 'cut', after: 150_000, length: 'declared' },
    lasting: 'either',
    overcome: true,
  },
  ...(['declared', 'none'] as const).map((length): Fault => ({
    name: `excess, length ${length}`,
    action: { do: 'excess', bytes: 1000, length },
    lasting: 'either',
    overcome: false,
  })),
  {
    name: 'no Content-Range',
    action: { do: 'content-range', value: null },
    lasting: 'error',
    overcome: false,
  },
  {
    name: 'Content-Range that is none',
    action: { do: 'content-range', value: 'bytes none/none' },
    lasting: 'error',
    overcome: false,
  },
  {
    name: 'wrong first',
    action: { do: 'shifted-range', first: 1 },
    lasting: 'error',
    overcome: false,
  },
  {
    name: 'wrong last',
    action: { do: 'shifted-range', last: 1 },
    lasting: 'error',
    overcome: false,
  },
  {
    name: 'wrong total',
    action: { do: 'shifted-range', total: 512 },
    lasting: 'error',
    overcome: false,
  },
  {
    name: 'another range',
    action: { do: 'other-range', first: 4096, last: 4096 },
    lasting: 'error',
    overcome: false,
  },
  { name: 'the whole blob', action: { do: 'whole' }, lasting: 'either', overcome: true },
  { name: 'gzip', action: { do: 'gzip' }, lasting: 'error', overcome: false },
  {
    name: 'an answer that is not HTTP',
    action: { do: 'raw', text: 'HTTP/1.1 429 Too Many\nRetry-After: 60\n\n' },
    lasting: 'error',
    overcome: true,
  },
  {
    name: 'a redirect to an unknown name',
    action: { do: 'redirect', to: 'http://unknown.invalid/blob' },
    lasting: 'error',
    overcome: false,
  },
  {
    name: 'a redirect to a port without a server',
    action: { do: 'redirect', to: 'http://127.0.0.1:1/blob' },
    lasting: 'error',
    overcome: false,
  },
  {
    name: 'a redirect to a file',
    action: { do: 'redirect', to: 'file:///etc/passwd' },
    lasting: 'error',
    overcome: false,
  },
];
