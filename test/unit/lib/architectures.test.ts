// Names of architectures, and levels of processors.
import { test } from 'tap';
import { amd64Level, ARCHITECTURE } from '../../../daemon/lib/architectures.js';

const levelOf = (flags: string): number =>
  amd64Level(`processor\t: 0\nflags\t\t: fpu ${flags} ht\nbugs\t\t:\n`);

await test('names', (t) => {
  for (const name of ['amd64', 'arm64', 'AARCH64', 's390x']) t.match(name, ARCHITECTURE);
  for (const name of ['linux', 'arm/v7', 'amd', '']) t.notMatch(name, ARCHITECTURE);
  t.end();
});

await test('levels of amd64', (t) => {
  const v2 = 'cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3';
  const v3 = `${v2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave`;
  const v4 = `${v3} avx512bw avx512cd avx512dq avx512f avx512vl`;
  t.same(['', v2, v3, v4].map(levelOf), [1, 2, 3, 4]);
  t.equal(levelOf(v4.replace('ssse3', '')), 1);
  t.equal(amd64Level(''), 1);
  t.end();
});
