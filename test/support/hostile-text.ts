// Text that tries to be more than text: for tests of all output that contains text from outside.

/** By its effect: each would be visible, or would do something, if it were printed unescaped. */
export const HOSTILE_TEXT: Readonly<Record<string, string>> = {
  'a line of its own': 'x\n2026-01-01T00:00:00.000Z error: forged',
  'a carriage return': 'x\rerror: forged',
  'other line ends': 'x\u0085y\u2028z\u2029\v\f',
  'an escape sequence': 'x\u001b[2J\u001b]0;title\u0007',
  'C1 controls': 'x\u009b2J\u0090\u009d0;title\u009c',
  'NUL, backspace and DEL': 'x\u0000\b\u007f',
  'bidirectional text': 'x\u202egnp.exe\u2066\u2069\u200f\u061c',
  'what cannot be seen': 'x\u200b\ufeff\u{e0041}\u00ad',
  'half a character': 'x\ud800y\udfff',
  'a priority of the journal': '<0>x\n<0>y',
  'a format': '%s %d %j {x}',
};

/** Characters that no terminal and no log may get, except for the line feed at the end of a line. */
export const RAW = /[\p{C}\p{Zl}\p{Zp}]/u;
