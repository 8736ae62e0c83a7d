// Room that is kept for files while they are written.
import { test } from 'tap';
import { GrowingFiles, KEPT_MS } from '../../../daemon/cache/growing-files.js';

await test('what a file has is no room any more', (t) => {
  const files = new GrowingFiles();
  t.equal(files.grow('a', 100, 7), 7, 'the last count may have some of it');
  t.equal(files.room, 100);
  t.equal(files.grow('b', 10, 0), 0);
  t.equal(files.room, 110);
  files.count('a', 57);
  t.equal(files.room, 60);
  t.equal(files.grow('a', 100, 107), 50, 'since it was counted');
  t.equal(files.room, 110);
  t.equal(files.grow('a', 100, 7), -100, 'it was cut');
  files.count('a', 200);
  t.equal(files.room, 10, 'it has more than it asked for');
  files.count('c', 5);
  t.equal(files.end('b'), 10);
  t.equal(files.end('b'), 0);
  t.equal(files.room, 0);
  t.end();
});

await test('who asks later, and has no answer yet, takes no room away', (t) => {
  const files = new GrowingFiles();
  files.grow('a', 100, 0);
  files.grow('b', 50, 10);
  t.equal(files.roomUpTo('a'), 100);
  t.equal(files.roomUpTo('b'), 150);
  files.decide('b', true);
  t.equal(files.roomUpTo('a'), 150);
  files.grow('a', 100, 30);
  t.equal(files.roomUpTo('a'), 150, 'it has asked again');
  files.decide('a', false);
  t.equal(files.roomUpTo('b'), 50, 'what is refused takes nothing from others');
  t.equal(files.room, 150, 'but from chunks');
  files.decide('c', true);
  t.equal(files.room, 150);
  t.end();
});

await test('a writer that says nothing for long may have written all of it', (t) => {
  let now = 0;
  const files = new GrowingFiles(() => now);
  files.grow('a', 100, 0);
  files.count('a', 30);
  now = KEPT_MS / 2;
  files.grow('b', 10, 0);
  t.equal(files.expire(), 0);
  now = KEPT_MS;
  t.equal(files.expire(), 70);
  t.equal(files.expire(), 0);
  t.equal(files.room, 10);
  t.end();
});
