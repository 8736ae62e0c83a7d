// Windows are deflated and come back as they were.
import { test } from 'tap';
import { deflateWindow, inflateWindow } from '../../../daemon/pieces/windows.js';
import { randomBytes, textBytes } from '../../support/pattern.js';

await test('a window comes back as it was, and text takes less memory', (t) => {
  for (const window of [
    Buffer.alloc(0),
    Buffer.from('x'),
    textBytes(1, 32_768),
    randomBytes(2, 32_768),
  ]) {
    t.ok(inflateWindow(deflateWindow(window)).equals(window));
  }
  t.ok(deflateWindow(textBytes(1, 32_768)).length < 32_768);
  t.throws(() => inflateWindow(Buffer.from([0xff])), { code: 'Z_DATA_ERROR' });
  t.end();
});
