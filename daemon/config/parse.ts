// Parses strict JSON and checks it against a schema. An error names the file, the path of the wrong value, and
// what is wrong with it.

import * as v from 'valibot';
import { OverlaybdError, messageOf, type ErrorCode } from '../errors.js';
import { issueText } from '../lib/schema.js';
import { MAX_DEPTH, jsonFacts, pathKey } from './json-text.js';

const BYTE_ORDER_MARK = '\ufeff';

/**
 * @param precheck gets the value before the schema, so that it can refuse one that is too large to check
 * @param code of the errors: BAD_CONFIG for what an operator has written
 * @throws OverlaybdError `file: lowers.3.file: 7 is not a string`
 */
export function parseWith<S extends v.GenericSchema>(
  schema: S,
  json: string,
  name: string,
  precheck?: (value: unknown) => void,
  code: ErrorCode = 'BAD_CONFIG',
): v.InferOutput<S> {
  const wrong = (why: string, cause?: unknown): OverlaybdError =>
    new OverlaybdError(code, `${name}: ${why}`, { cause });
  // Editors on Windows write a byte order mark, which is not JSON.
  const text = json.startsWith(BYTE_ORDER_MARK) ? json.slice(1) : json;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw wrong(`not JSON: ${messageOf(error)}`, error);
  }
  precheck?.(value);
  const { duplicate, isTooDeep, largeNumbers } = jsonFacts(text);
  if (duplicate) throw wrong(`${duplicate.join('.')}: duplicate key`);
  if (isTooDeep) throw wrong(`more than ${MAX_DEPTH} levels deep`);
  // Report only the first problem: a hostile file may have a million.
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  // A schema sees only the rounded number.
  throw wrong(issueText(result.issues[0], (path) => largeNumbers.get(pathKey(path))));
}
