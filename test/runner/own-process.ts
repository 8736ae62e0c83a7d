// Which test files get a process of their own.
import { readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';

/** Their files share processes, except for those in the list. */
const SHARING = /^test\/(unit|component)\/.*\.test\.ts$/;

/** The reasons, by file as "test/component/log/stderr-lines.test.ts" or by folder as "test/unit/native/". */
type Reasons = Readonly<Record<string, string>>;

export function reasonsOf(root: string): Reasons {
  return JSON.parse(readFileSync(join(root, 'test/runner/own-process.json'), 'utf8')) as Reasons;
}

/** @param out the folder of all that is compiled, in the root of the project */
export function ownProcesses(out: string): (file: string) => boolean {
  const listed = Object.keys(reasonsOf(resolve(out, '..')));
  return (file) => {
    const name = relative(out, resolve(file)).replace(/\.js$/, '.ts');
    if (!SHARING.test(name)) return true;
    return listed.some((each) => (each.endsWith('/') ? name.startsWith(each) : name === each));
  };
}
