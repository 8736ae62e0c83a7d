// The man pages: one for the program and one for each command from docs/cli.md, one for daemon.json from
// docs/configuration.md. The pages in docs/ are the source, and are written for both.
import { escaped, roffOf } from './roff.js';
import type { CommandFacts } from './commands.js';

/** The text in every header: "overlaybd-nbd 0.2.0" and a date, or ''. */
export interface Release {
  readonly version: string;
  readonly date: string;
}

interface Page {
  readonly name: string;
  readonly section: number;
  readonly describe: string;
  /** Markdown. */
  readonly body: string;
  readonly seeAlso: readonly string[];
}

const PROGRAM = 'overlaybd-nbd';

/** Maps file names to their text. @throws Error if the pages do not describe every command */
export function manPages(
  docs: { readonly cli: string; readonly configuration: string },
  commands: readonly CommandFacts[],
  release: Release,
): Map<string, string> {
  const sections = sectionsOf(docs.cli);
  const take = (title: string): string => {
    const found = sections.get(title);
    if (found === undefined) throw new Error(`docs/cli.md has no section ${title}`);
    return found;
  };
  const pageOf = (name: string): string => `${PROGRAM}-${name}(1)`;
  const config = `${PROGRAM}.json(5)`;
  const list = commands.map(({ usage, describe }) => `| \`${usage}\` | ${describe} |`);
  const pages: Page[] = [
    {
      name: PROGRAM,
      section: 1,
      describe: 'serve OverlayBD images as read-only NBD exports and devices',
      body: [
        `## Synopsis\n\n${take('').replace(/```\n\n.*$/s, '```\n')}`,
        `## Commands\n\n| | |\n| - | - |\n${list.join('\n')}\n`,
        ...['Images', 'Options', 'Output and exit codes'].map(
          (title) => `## ${title}\n\n${take(title)}`,
        ),
      ].join('\n'),
      seeAlso: [...commands.map(({ name }) => pageOf(name)), config],
    },
    ...commands.map(({ name, describe }) => ({
      name: `${PROGRAM}-${name}`,
      section: 1,
      describe,
      body: commandBody(take(name)),
      seeAlso: [`${PROGRAM}(1)`, config],
    })),
    {
      name: `${PROGRAM}.json`,
      section: 5,
      describe: `configuration of ${PROGRAM}-serve(1)`,
      body: `## Description\n\n${docs.configuration.replace(/^# .*\n/, '')}`,
      seeAlso: [`${PROGRAM}(1)`, pageOf('serve')],
    },
  ];
  return new Map(pages.map((page) => [`${page.name}.${page.section}`, render(page, release)]));
}

function render({ name, section, describe, body, seeAlso }: Page, release: Release): string {
  const title = [name.toUpperCase(), `${section}`, release.date, `${PROGRAM} ${release.version}`];
  return `.\\" Generated from the pages in docs/.
.TH ${title.map((word) => `"${escaped(word)}"`).join(' ')}
.SH NAME
${escaped(name)} \\- ${escaped(describe)}
${roffOf(body)}.SH "SEE ALSO"
${escaped(seeAlso.join(', '))}
.PP
All pages, where the Debian package is installed: /usr/share/doc/${PROGRAM}/docs
`;
}

/** Maps headings of the second level to the text below them, and '' to the text above the first. */
function sectionsOf(markdown: string): Map<string, string> {
  const [head = '', ...parts] = markdown.split(/^## /m);
  const sections = new Map([['', head.replace(/^# .*\n+/, '')]]);
  for (const part of parts) {
    const end = part.indexOf('\n');
    // "ls, tree, stat, cat": one section describes several commands.
    for (const title of part.slice(0, end).split(', ')) {
      sections.set(title, part.slice(end + 1).trimStart());
    }
  }
  return sections;
}

/** A section of a command begins with its synopsis, as a block of code; "Options of serve" is "Options" here. */
function commandBody(section: string): string {
  const [, code, rest] = /^```\n(.*?)```\n(.*)$/s.exec(section) ?? [];
  if (code === undefined || rest === undefined) {
    throw new Error(`docs/cli.md: no synopsis: ${section.slice(0, 80)}`);
  }
  const body = rest.replaceAll(/^### (.*) of [a-z-]+$/gm, '## $1');
  return `## Synopsis\n\n\`\`\`\n${code}\`\`\`\n\n## Description\n${body}`;
}
