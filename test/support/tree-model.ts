// What the merged tree of layers must be, by a model that is as plain as possible: one map from path to node, and
// paths resolved by recursion over their parts. Shares no code with daemon/tree.
import type { EntryDraft } from '../../daemon/tree/builder.js';

/** An inode; hard links are several paths with the same object. */
export interface ModelNode {
  entry: EntryDraft | null;
  layer: number;
}

/** By path; '' is the root. */
export type ModelTree = Map<string, ModelNode>;

/** A layer breaks a rule. */
export class Refused extends Error {}

export function modelOf(layers: readonly (readonly EntryDraft[])[]): ModelTree {
  const model = new Model();
  for (const [number, layer] of layers.entries()) model.apply(layer, number);
  return model.tree;
}

/** The layers without the entries that would make the model refuse them. */
export function withoutRefused(layers: readonly (readonly EntryDraft[])[]): EntryDraft[][] {
  let left = layers.map((layer) => [...layer]);
  for (;;) {
    const model = new Model();
    const refused = new Set<EntryDraft>();
    for (const [number, layer] of left.entries()) {
      model.apply(layer, number, (entry) => refused.add(entry));
    }
    if (refused.size === 0) return left;
    left = left.map((layer) => layer.filter((entry) => !refused.has(entry)));
  }
}

export const isDirectory = ({ entry }: ModelNode): boolean => !entry || entry.type === 'dir';

class Model {
  readonly tree: ModelTree = new Map([['', { entry: null, layer: 0 }]]);
  #layer = 0;
  #links = 0;
  /** What whiteouts of this layer have removed, in their order: by real path, with all below it. */
  #hidden: { by: number; path: string; nodes: Map<string, ModelNode> }[] = [];

  /** @param refused gets the entries that break a rule; without it they end the merge */
  apply(
    entries: readonly EntryDraft[],
    layer: number,
    refused?: (entry: EntryDraft) => void,
  ): void {
    this.#layer = layer;
    this.#hidden = [];
    const clean = entries.map((entry) => ({ entry, path: cleaned(entry.path) }));
    const own = new Set(clean.map(({ path }) => path));
    const attempt = (entry: EntryDraft, step: () => void): void => {
      try {
        step();
      } catch (error) {
        if (!refused || !(error instanceof Refused)) throw error;
        refused(entry);
      }
    };
    for (const [i, { entry, path }] of clean.entries()) {
      attempt(entry, () => this.#whiteout(path, own, i));
    }
    for (const [i, { entry, path }] of clean.entries()) {
      if (!isWhiteout(path)) attempt(entry, () => this.#add(entry, path, i));
    }
  }

  #whiteout(path: string, own: ReadonlySet<string>, number: number): void {
    if (!isWhiteout(path)) return;
    const hidden = base(path).slice('.wh.'.length);
    // A symlink that the layer replaces leads nowhere.
    for (let at = parent(path); at !== ''; at = parent(at)) {
      if (own.has(at) && this.#isBelowRealFolders(at)) {
        const node = this.tree.get(at);
        if (node && !isDirectory(node)) return;
      }
    }
    this.#links = 0;
    const folder = this.#resolve(parts(parent(path)), false);
    if (folder === null) return;
    const isInside = (each: string): boolean => each !== '' && parent(each) === folder;
    const paths =
      hidden === '.wh..opq' ? [...this.tree.keys()].filter(isInside) : [join(folder, hidden)];
    for (const each of paths) {
      const nodes = new Map([...this.tree].filter(([at]) => isAtOrBelow(at, each)));
      if (nodes.size > 0) this.#hidden.push({ by: number, path: each, nodes });
      this.#remove(each);
    }
  }

  /** Whether no symlink is in the folders of the path. */
  #isBelowRealFolders(path: string): boolean {
    for (let at = parent(path); at !== ''; at = parent(at)) {
      const node = this.tree.get(at);
      if (!node || !isDirectory(node)) return false;
    }
    return true;
  }

  #add(entry: EntryDraft, path: string, number: number): void {
    if (entry.type === 'hardlink') {
      const target = this.#target(cleaned(entry.target ?? ''), number);
      if (path === '') throw new Refused();
      const place = this.#place(path);
      if (this.tree.get(place) === target) return;
      this.#remove(place);
      this.tree.set(place, target);
      return;
    }
    const node = { entry, layer: this.#layer };
    if (path === '') {
      if (entry.type !== 'dir') throw new Refused();
      this.#assign('', node);
      return;
    }
    const place = this.#place(path);
    const there = this.tree.get(place);
    if (there && isDirectory(there) && entry.type === 'dir') {
      this.#assign(place, node);
      return;
    }
    this.#remove(place);
    this.tree.set(place, node);
  }

  #assign(path: string, node: ModelNode): void {
    this.tree.set(path, node);
  }

  #target(path: string, number: number): ModelNode {
    const found = this.#lookup(path, this.tree) ?? this.#lookup(path, this.#before(number));
    if (!found || isDirectory(found)) throw new Refused();
    return found;
  }

  #lookup(path: string, tree: ModelTree): ModelNode | undefined {
    this.#links = 0;
    const folder = path === '' ? '' : this.#resolve(parts(parent(path)), false, tree);
    return folder === null ? undefined : tree.get(join(folder, base(path)));
  }

  /** The tree with what the whiteouts after an entry remove: those that remove more come later. */
  #before(number: number): ModelTree {
    const tree = new Map(this.tree);
    for (const { by, path, nodes } of this.#hidden.toReversed()) {
      if (by <= number) continue;
      for (const each of tree.keys()) if (isAtOrBelow(each, path)) tree.delete(each);
      for (const [each, node] of nodes) tree.set(each, node);
    }
    return tree;
  }

  /** Where the entry goes; its folders are there afterwards. */
  #place(path: string): string {
    this.#links = 0;
    return join(this.#resolve(parts(parent(path)), true) as string, base(path));
  }

  /** @returns the real path of a folder; null if it is none and must not be made */
  #resolve(way: readonly string[], makes: boolean, tree = this.tree): string | null {
    const name = way.at(-1);
    if (name === undefined) return '';
    const folder = this.#resolve(way.slice(0, -1), makes, tree);
    if (folder === null) return null;
    if (name === '' || name === '.') return folder;
    if (name === '..') return parent(folder);
    const path = join(folder, name);
    const node = tree.get(path);
    if (node && isDirectory(node)) return path;
    if (node?.entry?.type === 'symlink') {
      if (++this.#links > 255) throw new Refused();
      const target = node.entry.target ?? '';
      const begin = target.startsWith('/') ? [] : parts(folder);
      return this.#resolve([...begin, ...target.split('/')], makes, tree);
    }
    if (!makes) return null;
    if (node && (this.#links > 0 || node.layer === this.#layer)) throw new Refused();
    if (name.length > 255) throw new Refused();
    this.#remove(path);
    this.tree.set(path, { entry: null, layer: this.#layer });
    return path;
  }

  #remove(path: string): void {
    this.tree.delete(path);
    this.#removeBelow(path);
  }

  #removeBelow(path: string): void {
    const prefix = path === '' ? '' : `${path}/`;
    for (const each of this.tree.keys()) {
      if (each !== '' && each.startsWith(prefix)) this.tree.delete(each);
    }
  }
}

function cleaned(path: string): string {
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '..') kept.pop();
    else if (part !== '' && part !== '.') kept.push(part);
  }
  return kept.join('/');
}

/** Whether it is a path itself, or below it. */
function isAtOrBelow(path: string, top: string): boolean {
  return path === top || path.startsWith(`${top}/`);
}

const isWhiteout = (path: string): boolean => base(path).startsWith('.wh.');
const parts = (path: string): string[] => (path === '' ? [] : path.split('/'));
const parent = (path: string): string => parts(path).slice(0, -1).join('/');
const base = (path: string): string => parts(path).at(-1) ?? '';
const join = (folder: string, name: string): string => (folder === '' ? name : `${folder}/${name}`);
