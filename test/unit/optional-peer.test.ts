import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { missingPeer } from '../../lib/nest/events/optional-peer.js';

test('a package that is not installed is told with the command that installs it', () => {
  let required: unknown;
  try {
    createRequire(import.meta.url)('no-such-peer');
  } catch (error) {
    required = error;
  }
  expect(missingPeer(required, 'no-such-peer', 'This')).toMatchObject({
    code: 'CG_MISSING_PEER',
    message: expect.stringContaining('npm install no-such-peer') as unknown,
  });
  // Something that the package itself could not load is another matter.
  expect(missingPeer(required, 'another', 'This')).toBe(required);
});
