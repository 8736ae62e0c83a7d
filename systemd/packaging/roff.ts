// Markdown to roff with the man macros, as far as the pages in docs/ use it. Tables become lists of terms, because a cell
// of a man page cannot be wide.
import { lexer, type Token, type Tokens } from 'marked';

/** The text that follows `.TH`. @throws Error for Markdown that it does not know */
export function roffOf(markdown: string): string {
  return blocks(lexer(markdown));
}

/** One line of plain text, as a heading or the line of a NAME section needs it. */
export function escaped(plain: string): string {
  return plain
    .replaceAll('\\', String.raw`\e`)
    .replaceAll('-', String.raw`\-`)
    .replaceAll('~', String.raw`\(ti`)
    .replaceAll('^', String.raw`\(ha`)
    .replaceAll('`', String.raw`\(ga`)
    .replaceAll(/^([.'])/gm, String.raw`\&$1`);
}

function blocks(tokens: readonly Token[]): string {
  return tokens.map(block).join('');
}

function block(token: Token): string {
  switch (token.type) {
    case 'space':
      return '';
    case 'heading':
      return heading(token as Tokens.Heading);
    case 'paragraph':
      return `.PP\n${text(token as Tokens.Paragraph)}\n`;
    case 'text':
      return `${text(token as Tokens.Text)}\n`;
    case 'code':
      return `.PP\n.RS 4\n.EX\n${escaped((token as Tokens.Code).text)}\n.EE\n.RE\n`;
    case 'list':
      return list(token as Tokens.List);
    case 'table':
      return table(token as Tokens.Table);
    default:
      throw new Error(`a man page cannot have this: ${token.raw}`);
  }
}

function heading({ depth, tokens }: Tokens.Heading): string {
  const title = inline(tokens);
  return depth <= 2 ? `.SH "${title.toUpperCase()}"\n` : `.SS "${title}"\n`;
}

function list({ ordered, items }: Tokens.List): string {
  return items
    .map((item, i) => {
      const mark = ordered ? `${i + 1}.` : String.raw`\(bu`;
      return `.IP ${mark} 4\n${blocks(item.tokens)}`;
    })
    .join('');
}

/** A row is a term and what it means; further cells go by the names of their columns. */
function table({ header, rows }: Tokens.Table): string {
  return rows
    .map(([term, meaning, ...others]) => {
      const more = others.map(({ text: written, tokens }, i) => {
        const name = inline(header[i + 2]?.tokens ?? []);
        return written === '' ? '' : `\n.br\n${name}: ${inline(tokens)}`;
      });
      return `.TP\n${inline(term?.tokens ?? [])}\n${inline(meaning?.tokens ?? [])}${more.join('')}\n`;
    })
    .join('');
}

function text(token: { tokens?: Token[]; text: string }): string {
  return token.tokens ? inline(token.tokens) : escaped(token.text);
}

function inline(tokens: readonly Token[]): string {
  return tokens.map(span).join('');
}

function span(token: Token): string {
  switch (token.type) {
    case 'html': // a word in angle brackets
    case 'text':
    case 'escape':
      return escaped(unescapedHtml((token as Tokens.Text).text));
    case 'codespan':
      return String.raw`\fB${escaped(unescapedHtml((token as Tokens.Codespan).text))}\fR`;
    case 'strong':
      return String.raw`\fB${inline((token as Tokens.Strong).tokens)}\fR`;
    case 'em':
      return String.raw`\fI${inline((token as Tokens.Em).tokens)}\fR`;
    case 'link':
      return inline((token as Tokens.Link).tokens);
    case 'br':
      return '\n.br\n';
    default:
      throw new Error(`a man page cannot have this: ${token.raw}`);
  }
}

function unescapedHtml(written: string): string {
  return written
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}
