// Prints the tests that run with a release of Node.js, for .ci/run: `node out/test/node/main.js newest`, or `every`.
import { fileURLToPath } from 'node:url';
import { chosenTests, testsFor } from './chosen.js';

const root = fileURLToPath(new URL('../../..', import.meta.url));
console.log(testsFor(chosenTests(root), process.argv[2] ?? '').join(' '));
