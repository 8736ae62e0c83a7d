// The hard links of a table of contents. A link may precede its target, and may name another link.

import type { EntryDraft, LayerTreeBuilder } from '../tree/builder.js';
import { fullDraft } from '../tree/full-draft.js';
import { heapBytesOf } from '../tree/xattrs.js';
import { entryError, type EntryPlace } from '../tree/entry-error.js';
import type { Attributes } from './toc-entry.js';

/** Heap for a link without its texts: a place in a table, and two objects. */
const LINK_BYTES = 280;

interface Link extends EntryPlace {
  target: string;
  readonly attributes: Attributes;
}

export class HardLinks {
  readonly #blob: string;
  readonly #tree: LayerTreeBuilder;
  readonly #links = new Map<string, Link>();

  /** @param tree counts what links take */
  constructor(blob: string, tree: LayerTreeBuilder) {
    this.#blob = blob;
    this.#tree = tree;
  }

  /** @param place clean paths. @throws OverlaybdError LIMIT */
  add({ path, target, position }: EntryPlace & { target: string }, attributes: Attributes): void {
    const { xattrs } = attributes;
    const bytes = LINK_BYTES + path.length + target.length + (xattrs ? heapBytesOf(xattrs) : 0);
    this.#tree.spendHeap(bytes);
    this.#links.set(path, { path, target, position, attributes });
  }

  /** A later entry that is not a link has the same path. */
  replaced(path: string): void {
    if (this.#links.size > 0) this.#links.delete(path);
  }

  /**
   * All links, each with a target that is not a link.
   * @throws OverlaybdError BAD_FORMAT if links lead to themselves
   */
  *resolved(): Generator<EntryDraft> {
    for (const link of this.#links.values()) {
      const { path, position, attributes } = link;
      const draft = fullDraft(path, 'hardlink', position, attributes);
      draft.target = this.#targetOf(link);
      yield draft;
    }
  }

  /** What was found once is kept, so that long chains are followed once. */
  #targetOf(link: Link): string {
    const chain: Link[] = [];
    const seen = new Set<Link>();
    for (let at: Link | undefined = link; at; at = this.#links.get(at.target)) {
      if (seen.has(at)) {
        throw entryError('BAD_FORMAT', this.#blob, link, 'hard links that lead to each other');
      }
      seen.add(at);
      chain.push(at);
    }
    const { target } = chain.at(-1) as Link;
    for (const each of chain) each.target = target;
    return target;
  }
}
