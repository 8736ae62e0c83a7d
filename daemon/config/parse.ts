// Parses strict JSON and checks it against a schema. An error names the file, the path of the wrong value, and
// what is wrong with it.

import * as v from 'valibot';
import { messageOf, type ErrorCode, type ErrorFacts, type OverlaybdError } from '../errors.js';
import { problemOf, valueError, type ValueProblem } from '../lib/schema.js';
import { MAX_DEPTH, jsonFacts, pathKey } from './json-text.js';

const BYTE_ORDER_MARK = '\ufeff';

/**
 * @param of the file, or the facts that name it
 * @param precheck gets the value before the schema, so that it can refuse one that is too large to check
 * @param code of the errors: BAD_CONFIG for what an operator has written
 * @throws OverlaybdError `file: lowers.3.file: 7 is not a string`
 */
export function parseWith<S extends v.GenericSchema>(
  schema: S,
  json: string,
  of: string | ErrorFacts,
  precheck?: (value: unknown) => void,
  code: ErrorCode = 'BAD_CONFIG',
): v.InferOutput<S> {
  const about = typeof of === 'string' ? { path: of } : of;
  const wrong = (problem: ValueProblem, cause?: unknown): OverlaybdError =>
    valueError(code, about, problem, cause);
  // Editors on Windows write a byte order mark, which is not JSON.
  const text = json.startsWith(BYTE_ORDER_MARK) ? json.slice(1) : json;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong({ why: `not JSON: ${messageOf(error)}` }, error);
  }
  precheck?.(value);
  const { duplicate, isTooDeep, largeNumbers } = jsonFacts(text);
  if (duplicate) throw wrong({ section: duplicate.join('.'), why: 'duplicate key' });
  if (isTooDeep) throw wrong({ why: `more than ${MAX_DEPTH} levels deep` });
  // Report only the first problem: a hostile file may have a million.
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  // A schema sees only the rounded number.
  throw wrong(problemOf(result.issues[0], (path) => largeNumbers.get(pathKey(path))));
}
