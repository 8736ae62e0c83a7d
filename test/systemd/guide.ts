// The commands of a guide in docs/, in its order, for a test that follows it literally. It runs nothing.
import { readFileSync } from 'node:fs';

/** The place for a text of a file, in the paragraph before it: "`/etc/x.json`:" or "`systemctl edit NAME`". */
const FILE = /`(\/etc\/[^`\s]+)`/g;
const EDITED = /`systemctl edit ([^`\s]+)`/g;

/**
 * Everything that the sections tell the reader to type or to write, as a shell script. @param titles beginnings of
 * headings, such as "3."
 */
export function guideScript(document: string, ...titles: readonly string[]): string {
  const text = readFileSync(new URL(`../../../docs/${document}`, import.meta.url), 'utf8');
  return titles.map((title) => scriptOf(sectionOf(text, title))).join('');
}

function sectionOf(text: string, title: string): string {
  const sections = text.split(/^(?=#+ )/m);
  const found = sections.find((section) => section.replace(/^#+ /, '').startsWith(title));
  if (found === undefined) throw new Error(`the guide has no section ${JSON.stringify(title)}`);
  return found;
}

function scriptOf(section: string): string {
  let script = '';
  let prose = '';
  for (const part of section.split(/^(?=```)/m)) {
    const [, language, block = ''] = /^```(\w*)\n(.*)$/s.exec(part) ?? [];
    // After a block, or before the first one.
    if (language === undefined || language === '') prose = part;
    else if (language === 'sh') script += block;
    else script += writing(prose, block);
  }
  return script;
}

function writing(prose: string, text: string): string {
  const file = [...prose.matchAll(FILE)].at(-1)?.[1];
  const unit = [...prose.matchAll(EDITED)].at(-1)?.[1];
  if (unit !== undefined) {
    const folder = `/etc/systemd/system/${unit}.service.d`;
    return `${hereDocument(`${folder}/override.conf`, text)}systemctl daemon-reload\n`;
  }
  if (file === undefined) throw new Error(`the guide does not say where this goes:\n${text}`);
  return hereDocument(file, text);
}

function hereDocument(file: string, text: string): string {
  return `mkdir -p "$(dirname ${file})"\ncat >${file} <<'END OF FILE'\n${text}END OF FILE\n`;
}
