// Strict JSON checked against a valibot schema, with the path of the wrong value in the error.

import * as v from 'valibot';
import { OverlaybdError, messageOf } from '../errors.js';

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
