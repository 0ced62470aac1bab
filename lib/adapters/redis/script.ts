import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { NodeClient } from './client-shapes.js';

const read = (name: string): string => readFileSync(new URL(`./scripts/${name}.lua`, import.meta.url), 'utf8');

/** One Lua script; what it takes and gives is said at its head. */
export class Script {
  private readonly source: string;
  private readonly sha: string;

  /** @param shared what it needs besides the prelude */
  constructor(
    readonly name: string,
    ...shared: readonly string[]
  ) {
    this.source = ['prelude', ...shared, name].map(read).join('\n');
    this.sha = createHash('sha1').update(this.source).digest('hex');
  }

  /** By hash; a server that does not have the script (restarted, SCRIPT FLUSH) is sent its text. */
  async run(
    client: NodeClient,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown> {
    try {
      return await client.callBuffer('EVALSHA', this.sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return client.callBuffer('EVAL', this.source, keys.length, ...keys, ...args);
    }
  }
}
