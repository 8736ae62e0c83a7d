// Strict JSON checked against a valibot schema, with the path of the wrong value in the error.

import * as v from 'valibot';
import { OverlaybdError, messageOf } from '../errors.js';

/** An object of JSON, not an array: valibot's object schemas take those as objects without keys. */
export const jsonObject = v.custom<Record<string, unknown>>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  (issue) => `Invalid type: Expected Object but received ${issue.received}`,
);

/** @throws OverlaybdError BAD_CONFIG: `file: lowers.3.file: what is wrong` */
export function parseWith<S extends v.GenericSchema>(
  schema: S,
  json: string,
  name: string,
): v.InferOutput<S> {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new OverlaybdError('BAD_CONFIG', `${name}: not JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => {
    const path = v.getDotPath(issue) ?? 'the whole file';
    return `${path}: ${issue.message}`;
  });
  throw new OverlaybdError('BAD_CONFIG', `${name}: ${problems.join('; ')}`);
}
