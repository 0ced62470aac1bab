import { describe, expect, it } from 'vitest';
import { readConfig } from '../../sample-app/config.js';

describe('the configuration', () => {
  it('has a default for everything', () => {
    expect(readConfig({})).toMatchObject({ port: 3000, originDelayMs: 150 });
    expect(readConfig({ PORT: '4000', REDIS_URL: ' ' })).toMatchObject({ port: 4000, redisUrl: undefined });
  });

  it.each([
    [{ PORT: 'http' }, 'PORT=http is refused; give a whole number from 0 to 65535.'],
    [{ PORT: '70000' }, 'PORT=70000 is refused'],
    [{ ORIGIN_DELAY_MS: '-1' }, 'ORIGIN_DELAY_MS=-1 is refused'],
    [{ REDIS_URL: 'localhost' }, 'REDIS_URL is refused; give a URL such as redis://'],
    [{ DATABASE_URL: 'mysql://root:secret@db' }, 'DATABASE_URL is refused; give a URL such as postgres://'],
  ])('refuses %j', (env, message) => {
    expect(() => readConfig(env)).toThrow(message);
  });
});
