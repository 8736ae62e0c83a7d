// Broken references in comments and documents: to a file, a document, a section or a link target that does not exist.
// Sections are named by their heading, as in "Checksums" in docs/formats.md, because numbers change.

import { dirname, join, normalize } from 'node:path';

/** Of all files of the repository, by path from the root. */
export type Texts = ReadonlyMap<string, string>;

/** A file of the project in a comment, with or without its folder. A header with another folder is one of the system. */
const FILE =
  /(?<![\w./@*>-])(?:(?:[\w-]+\/)*[\w.-]+\.(?:ts|cc|md)|(?:native\/src\/|test\/asan\/)?[\w-]+\.h)\b(?!\.\w)/g;
const SECTION = /"([^"]+)" in (docs\/[\w-]+\.md)|(docs\/[\w-]+\.md)[,:]? (?:section )?"([^"]+)"/g;
const NUMBERED = /\b(?:facts?|sections?) \d+/gi;
const LINK = /\]\(([^)\s]+)\)/g;
/** In inline code of a document: a path from the root. */
const CODE_PATH = /`((?:daemon|native|test|docs|systemd|\.ci)\/[\w./-]*)`/g;
/** Comments, by what they begin with: lines of their own, and those after code. */
const SLASHES = [/^\s*(?:\/\/|\/?\*+)(.*)$/, /\s(?:\/\/|\/\*+) (.*)$/];
const HASH = [/^\s*#+(.*)$/, /\s# (.*)$/];
/** A document about the past, which may name removed files. */
const HISTORY = 'CHANGELOG.md';

/** @param texts of all files: the checked ones and those that they may refer to */
export function checkReferences(texts: Texts): string[] {
  const problems: string[] = [];
  for (const [path, text] of texts) {
    if (path.endsWith('.md')) problems.push(...checkDocument(path, text, texts));
    else if (/^(?:daemon|native|test)\/.*\.(?:ts|cc|h)$/.test(path)) {
      problems.push(...checkComments(path, commentsOf(text), texts));
    } else if (/^(?:systemd|\.ci)\//.test(path)) {
      problems.push(...checkComments(path, commentsOf(text, HASH), texts));
    }
  }
  return problems;
}

function checkComments(path: string, comments: readonly Line[], texts: Texts): string[] {
  const problems: string[] = [];
  for (const { line, text: comment } of comments) {
    const at = `${path}:${line}`;
    for (const [file] of comment.matchAll(FILE)) {
      if (!isThere(file, texts)) problems.push(`${at}: there is no ${file}`);
    }
    for (const [, before, document, other, after] of comment.matchAll(SECTION)) {
      problems.push(...checkSection(at, document ?? other ?? '', before ?? after ?? '', texts));
    }
    for (const [number] of comment.matchAll(NUMBERED)) {
      problems.push(`${at}: "${number}": name the section, its number does not last`);
    }
  }
  return problems;
}

function checkSection(at: string, document: string, title: string, texts: Texts): string[] {
  const text = texts.get(document);
  // The missing document is reported already.
  if (text === undefined || headingsOf(text).includes(title)) return [];
  return [`${at}: ${document} has no section "${title}"`];
}

function checkDocument(path: string, text: string, texts: Texts): string[] {
  const problems: string[] = [];
  for (const { line, text: paragraph } of linesOf(text)) {
    const at = `${path}:${line}`;
    for (const [, target = ''] of paragraph.matchAll(LINK)) {
      if (!/^[a-z]+:/.test(target)) problems.push(...checkLink(at, path, target, texts));
    }
    if (path === HISTORY) continue;
    for (const [, file = ''] of paragraph.matchAll(CODE_PATH)) {
      if (!isThere(file.replace(/\/$/, ''), texts)) problems.push(`${at}: there is no ${file}`);
    }
  }
  return problems;
}

function checkLink(at: string, from: string, link: string, texts: Texts): string[] {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? from : normalize(join(dirname(from), file));
  const text = texts.get(target);
  if (text === undefined && !isFolder(target.replace(/\/$/, ''), texts)) {
    return [`${at}: link to ${link}: there is no ${target}`];
  }
  if (anchor === undefined || headingsOf(text ?? '').some((title) => slugOf(title) === anchor)) {
    return [];
  }
  return [`${at}: link to ${link}: ${target} has no such heading`];
}

/** Whether a file's path is this, or ends with it. */
function isThere(file: string, texts: Texts): boolean {
  if (texts.has(file) || isFolder(file, texts)) return true;
  for (const path of texts.keys()) if (path.endsWith(`/${file}`)) return true;
  return false;
}

function isFolder(folder: string, texts: Texts): boolean {
  for (const path of texts.keys()) if (path.startsWith(`${folder}/`)) return true;
  return false;
}

interface Line {
  readonly line: number;
  readonly text: string;
}

/** Comments; the lines of one comment are one text, because a reference may be wrapped. */
function commentsOf(text: string, marks: readonly RegExp[] = SLASHES): Line[] {
  const found: { line: number; text: string }[] = [];
  let last = -1;
  for (const [i, line] of text.split('\n').entries()) {
    const match = marks.map((mark) => mark.exec(line)).find(Boolean);
    if (!match) continue;
    const words = (match[1] ?? '').trim();
    const before = found.at(-1);
    if (before && last === i - 1) before.text += ` ${words}`;
    else found.push({ line: i + 1, text: words });
    last = i;
  }
  return found;
}

/** Without code blocks. */
function linesOf(document: string): Line[] {
  let inCode = false;
  return document.split('\n').flatMap((text, i) => {
    const isFence = text.trimStart().startsWith('```');
    if (isFence) inCode = !inCode;
    return inCode || isFence ? [] : [{ line: i + 1, text }];
  });
}

function headingsOf(document: string): string[] {
  return linesOf(document).flatMap(({ text }) => /^#+ (.*)$/.exec(text)?.[1] ?? []);
}

/** The anchor that GitHub makes from a heading. */
function slugOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
}
