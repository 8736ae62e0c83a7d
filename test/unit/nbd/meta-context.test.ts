// Metadata contexts: which ones a query selects, and the flags of an extent in each.
import t from 'tap';
import {
  EXTENT_DATA,
  EXTENT_HOLE,
  EXTENT_ZEROED,
  NO_LAYER,
} from '../../../daemon/lib/extent-list.js';
import { META_CONTEXTS, listContexts, selectContexts } from '../../../daemon/nbd/meta-context.js';

const names = (contexts: { name: string }[]): string[] => contexts.map(({ name }) => name);
const [BASE, LAYER] = ['base:allocation', 'overlaybd:layer'];

t.same(names(listContexts([])), [BASE, LAYER]);
t.same(names(listContexts(['base:'])), [BASE]);
t.same(names(listContexts(['overlaybd:layer', 'qemu:'])), [LAYER]);
t.same(names(listContexts(['base'])), []);
t.same(
  names(selectContexts([LAYER, BASE, 'x'])),
  [BASE, LAYER],
  'ids follow the order of the server',
);
t.same(names(selectContexts(['base:'])), [], 'wildcards select nothing');

const [base, layer] = META_CONTEXTS;
t.same([base?.flagsOf(EXTENT_DATA, 3), layer?.flagsOf(EXTENT_DATA, 3)], [0, 3]);
t.same([base?.flagsOf(EXTENT_ZEROED, 3), layer?.flagsOf(EXTENT_ZEROED, 3)], [3, 0x103]);
t.same([base?.flagsOf(EXTENT_HOLE, NO_LAYER), layer?.flagsOf(EXTENT_HOLE, NO_LAYER)], [3, 0x200]);
