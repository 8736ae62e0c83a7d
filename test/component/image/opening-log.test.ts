// What is logged when an image is opened.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { OpenImages } from '../../../daemon/image/open-images.js';
import { randomBytes } from '../../support/pattern.js';
import { writeUstar } from '../../support/ustar.js';

await test('what was done is no warning', async (t) => {
  const layer = join(t.testdir(), 'layer.tar.gz');
  writeFileSync(layer, gzipSync(writeUstar([{ name: 'a', bytes: randomBytes(1, 2 << 20) }])));
  const lines: string[] = [];
  const images = new OpenImages({ log: (level, text) => lines.push(`${level} ${text}`) }, false);
  t.teardown(() => images.close());
  images.release(await images.open(sourceOfWords([layer])));
  const told = lines.filter((line) => line.includes('read as a whole'));
  t.match(told, [/^info .*layer\.tar\.gz: 1 layer of 1 was read as a whole to open it/]);
  t.equal(told.length, 1);
});
