// What the fault front does before an answer, or instead of one, because a rule says so.
import { setTimeout as pause } from 'node:timers/promises';
import type { Exchange } from './exchange.js';
import { isBodyAction, type RuleHandle } from './rules.js';
import { sendStatus } from './send-status.js';

/**
 * @param challenge answers that the client has to log in
 * @returns whether the request has been dealt with; if not, it shall be answered
 */
export async function actInstead(
  exchange: Exchange,
  rule: RuleHandle,
  challenge: () => void,
): Promise<boolean> {
  const { action } = rule.rule;
  if (isBodyAction(action)) return false;
  const { request, response, entry, connections, left } = exchange;
  switch (action.do) {
    case 'status':
      sendStatus(response, action.status, action.body ?? 'json', action.headers);
      return true;
    case 'unauthorized':
      challenge();
      return true;
    case 'redirect':
      sendStatus(response, action.status ?? 307, 'none', { Location: action.to });
      return true;
    case 'delay':
      await Promise.race([pause(action.ms), left]);
      return false;
    case 'stall':
      await Promise.race([rule.released(), left]);
      return false;
    case 'reset':
      entry.ended = 'reset';
      await connections.reset(request);
      return true;
    case 'close':
      entry.ended = 'cut';
      connections.end(request);
      return true;
    case 'raw':
      entry.ended = 'cut';
      response.socket?.end(action.text);
      return true;
  }
}
