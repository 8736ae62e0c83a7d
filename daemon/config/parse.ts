// Strict JSON checked against a valibot schema, with the path of the wrong value in the error.

import * as v from 'valibot';
import { OverlaybdError, messageOf } from '../errors.js';
import { MAX_DEPTH, jsonFacts, pathKey, type JsonFacts, type JsonPath } from './json-text.js';

const BYTE_ORDER_MARK = '\ufeff';

/** An object of JSON, not an array: valibot's object schemas take those as objects without keys. */
export const jsonObject = v.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  (issue) => `Invalid type: Expected Object but received ${issue.received}`,
);

/**
 * @param precheck looks at the value before the schema does: what is too much is not even checked
 * @throws OverlaybdError BAD_CONFIG: `file: lowers.3.file: what is wrong`
 */
export function parseWith<S extends v.GenericSchema>(
  schema: S,
  json: string,
  name: string,
  precheck?: (value: unknown) => void,
): v.InferOutput<S> {
  // Editors of Windows put one in front; no JSON begins with it.
  const text = json.startsWith(BYTE_ORDER_MARK) ? json.slice(1) : json;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new OverlaybdError('BAD_CONFIG', `${name}: not JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  precheck?.(value);
  const facts = jsonFacts(text);
  if (facts.duplicate) {
    const where = dotPath(facts.duplicate);
    throw new OverlaybdError('BAD_CONFIG', `${name}: ${where}: stands there twice`);
  }
  if (facts.isTooDeep) {
    throw new OverlaybdError('BAD_CONFIG', `${name}: more than ${MAX_DEPTH} levels deep`);
  }
  // The first problem is enough: a hostile file may have a million of them.
  const result = v.safeParse(schema, value, { abortEarly: true, abortPipeEarly: true });
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw new OverlaybdError('BAD_CONFIG', `${name}: ${describe(issue, facts)}`);
}

function describe(issue: v.BaseIssue<unknown>, { largeNumbers }: JsonFacts): string {
  const path = (issue.path ?? []).map(({ key }) => key as string | number);
  const where = path.length === 0 ? 'the whole file' : dotPath(path);
  if (issue.type === 'strict_object' && issue.expected === 'never') return `${where}: unknown key`;
  const exact = largeNumbers.get(pathKey(path));
  // valibot knows the rounded number only.
  const message = exact === undefined ? issue.message : exactly(issue, exact);
  return `${where}: ${message}`;
}

function exactly({ message, received }: v.BaseIssue<unknown>, exact: string): string {
  return message.endsWith(received) ? message.slice(0, -received.length) + exact : message;
}

function dotPath(path: JsonPath): string {
  return path.join('.');
}
