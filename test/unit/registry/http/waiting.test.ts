// Waiting with an end.
import { test } from 'tap';
import {
  Deadline,
  LateError,
  pause,
  untilAborted,
} from '../../../../daemon/registry/http/waiting.js';

const { signal: never } = new AbortController();

await test('untilAborted', async (t) => {
  t.equal(await untilAborted(Promise.resolve(5), never), 5);
  await t.rejects(untilAborted(Promise.reject(new Error('own')), never), /own/);
  const abort = new AbortController();
  const waiting = untilAborted(new Promise(() => undefined), abort.signal);
  abort.abort(new Error('enough'));
  await t.rejects(waiting, /enough/);
  await t.rejects(untilAborted(Promise.resolve(5), abort.signal), /enough/);
});

await test('pause', async (t) => {
  await pause(1, never);
  const abort = new AbortController();
  const waiting = pause(3_600_000, abort.signal);
  abort.abort(new Error('enough'));
  await t.rejects(waiting, /enough/);
  await t.rejects(pause(1, abort.signal), /enough/);
});

await test('a deadline comes by itself, or with another signal', async (t) => {
  const soon = new Deadline(1);
  await t.rejects(pause(3_600_000, soon.signal), LateError);
  t.ok(soon.isLate);
  soon.end();
  const abort = new AbortController();
  const outer = new Deadline(3_600_000, abort.signal);
  abort.abort(new Error('enough'));
  await t.rejects(pause(1, outer.signal), /enough/);
  t.notOk(outer.isLate);
  outer.end();
  const late = new Deadline(3_600_000, abort.signal);
  t.ok(late.signal.aborted);
  late.end();
});
