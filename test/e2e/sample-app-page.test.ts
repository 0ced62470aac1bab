import { createHash } from 'node:crypto';
import { Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { CONTENT_SECURITY_POLICY, PAGE } from '../../sample-app/page/page.js';

describe('the page of the dashboard', () => {
  it('is one well-formed file that needs nothing from elsewhere', () => {
    expect(PAGE).toMatch(/^<!doctype html>\s*<html lang="en">/);
    expect(unbalancedTags(PAGE)).toEqual([]);
    expect(PAGE).not.toMatch(/(?:src|href)="https?:/);
    expect(PAGE).not.toMatch(/@import|<!-- (?:style|script) -->/);
  });

  it.each(['style', 'script'])('has a %s that its security policy admits', (tag) => {
    const [, text] = new RegExp(`<${tag}[^>]*>(.*?)</${tag}>`, 's').exec(PAGE)!;
    expect(CONTENT_SECURITY_POLICY).toContain(`'sha256-${createHash('sha256').update(text!).digest('base64')}'`);
    if (tag === 'script') expect(() => new Script(`async () => {${text}}`)).not.toThrow();
  });

  it('names each control and refers to what is there', () => {
    const ids = [...PAGE.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, id] of PAGE.matchAll(/byId\('([^']+)'\)/g)) expect(ids).toContain(id);
    for (const [, id] of PAGE.matchAll(/aria-labelledby="([^"]+)"/g)) expect(ids).toContain(id);
  });
});

/** Tags that are opened and not closed, or the other way round. */
function unbalancedTags(html: string): string[] {
  const open: string[] = [];
  const wrong: string[] = [];
  const markup = html.replace(/<(style|script)[^>]*>.*?<\/\1>/gs, '');
  for (const [, close, tag, self] of markup.matchAll(/<(\/?)([a-z][a-z0-9]*)[^>]*?(\/?)>/g)) {
    if (self || ['meta', 'link', 'input', 'br'].includes(tag!)) continue;
    if (!close) open.push(tag!);
    else if (open.pop() !== tag) wrong.push(tag!);
  }
  return [...open, ...wrong];
}
