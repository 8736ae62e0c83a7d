// Answers of the fault front that have no content: errors in the forms in which registries, stores and proxies
// send them, and small JSON.
import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

export type ErrorBody = 'json' | 'html' | 'xml' | 'none';

const CODES: Readonly<Record<number, string>> = {
  401: 'UNAUTHORIZED',
  403: 'DENIED',
  404: 'MANIFEST_UNKNOWN',
  429: 'TOOMANYREQUESTS',
};

const TYPES = {
  json: 'application/json',
  html: 'text/html; charset=utf-8',
  xml: 'application/xml',
  none: null,
};

export function sendStatus(
  response: ServerResponse,
  status: number,
  form: ErrorBody = 'json',
  headers: OutgoingHttpHeaders = {},
  text = bodyOf(status, form),
): void {
  const type = TYPES[form];
  response.writeHead(status, {
    ...(type !== null && { 'Content-Type': type }),
    'Content-Length': Buffer.byteLength(text),
    ...headers,
  });
  response.end(text);
}

function bodyOf(status: number, form: ErrorBody): string {
  switch (form) {
    case 'json': {
      const code = CODES[status] ?? 'UNKNOWN';
      // What would change the colour of a terminal has no place in a log.
      const message = `status ${status}\u001b[31m`;
      return JSON.stringify({ errors: [{ code, message, detail: null }] });
    }
    case 'html':
      return `<html><head><title>${status}</title></head><body><script>alert(1)</script></body></html>\n`;
    case 'xml':
      return `<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>`;
    case 'none':
      return '';
  }
}
