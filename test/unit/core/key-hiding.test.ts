import { createSecretKey } from 'node:crypto';
import { expect, it } from 'vitest';
import { keyedHiding, type KeyRole } from '../../../lib/core/key-hiding.js';

const secret = createSecretKey(Buffer.from('a secret of the test, of 32 bytes!'));
const hide = keyedHiding(secret, 'cards');

it('equal texts in different roles look different', () => {
  const roles: KeyRole[] = ['key', 'partition', 'principal', 'tag'];
  expect(new Set(roles.map((role) => hide('s.ada', role))).size).toBe(roles.length);
});

it('equal texts in different domains look different', () => {
  expect(keyedHiding(secret, 'names')('s.ada', 'key')).not.toBe(hide('s.ada', 'key'));
});

it('equal texts in one place look equal, with one secret only, and others different', () => {
  expect(hide('s.ada', 'key')).toMatch(/^m\.[\w-]{43}$/);
  expect(keyedHiding(secret, 'cards')('s.ada', 'key')).toBe(hide('s.ada', 'key'));
  expect(hide('s.bob', 'key')).not.toBe(hide('s.ada', 'key'));
  const other = createSecretKey(Buffer.from('another secret of 32 bytes or so'));
  expect(keyedHiding(other, 'cards')('s.ada', 'key')).not.toBe(hide('s.ada', 'key'));
});
