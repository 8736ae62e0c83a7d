// Targets by the number of their entry, also of a record.
import { test } from 'tap';
import { LinkTargets } from '../../../daemon/tree/link-targets.js';

await test('each link has its target, and other entries have none', (t) => {
  const targets = new LinkTargets();
  t.equal(targets.get(0), undefined);
  for (let i = 0; i < 1000; i++) targets.add(3 * i, `target ${i}`);
  const { entries, lengths, bytes } = targets.parts();
  const copy = LinkTargets.of(entries, lengths, bytes);
  for (const each of [targets, copy]) {
    for (let i = 0; i < 1000; i++) {
      t.equal(each.get(3 * i), `target ${i}`);
      t.equal(each.get(3 * i + 1), undefined);
    }
    t.equal(each.get(5000), undefined);
  }
  t.end();
});
