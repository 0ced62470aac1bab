import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

/** The same folder from the source and from the build, which stand side by side. */
const FOLDER = new URL('../../sample-app/page/', import.meta.url);

const part = (...names: readonly string[]): string =>
  names.map((name) => readFileSync(new URL(name, FOLDER), 'utf8')).join('\n');
const source = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;

const style = part('base.css', 'fragments.css');
/** Modules in the order of their imports, made into one. */
const script = part('helpers.js', 'fragments.js', 'events.js', 'app.js')
  .replace(/^import [^;]*;$/gm, '')
  .replace(/^export /gm, '');

/** One file with everything in it. */
export const PAGE = part('index.html')
  .replace('<!-- style -->', () => `<style>${style}</style>`)
  .replace('<!-- script -->', () => `<script type="module">${script}</script>`);

export const CONTENT_SECURITY_POLICY = [
  `default-src 'none'`,
  `style-src ${source(style)}`,
  `script-src ${source(script)}`,
  `connect-src 'self'`,
  `img-src data:`,
  `base-uri 'none'`,
  `form-action 'none'`,
].join('; ');
