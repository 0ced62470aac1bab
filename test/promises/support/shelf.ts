import type { LoadContext, ReadTarget } from 'nestjs-cache-guard';
import { entryKey, keySegment } from '../../../lib/core/keys.js';
import type { SourceVersion } from '../../../lib/core/drift.js';
import { until, type Member } from './fleet.js';

/** Long: nothing expires by itself. */
export const KEPT = { freshness: 'reference', softTtl: '1d', hardTtl: '2d', negativeTtl: '1d', jitter: 0 } as const;

/** A source that can say which version it has of a key, and notes what it was asked. */
export class Shelf {
  readonly has = new Map<string, SourceVersion>();
  /** The keys of each question. */
  readonly asked: unknown[][] = [];
  /** What happens while the source is asked. */
  meanwhile: () => unknown = () => {};
  loads = 0;

  constructor(readonly domain: string) {}

  readonly versions = async (keys: readonly unknown[]): Promise<SourceVersion[]> => {
    this.asked.push([...keys]);
    const answer = keys.map((key) => this.has.get(key as string));
    await this.meanwhile();
    return answer;
  };

  target(key: string): ReadTarget {
    return { domain: this.domain, key };
  }

  readonly load = async (key: string, context: LoadContext): Promise<unknown> => {
    this.loads++;
    const version = this.has.get(key);
    if (version !== undefined) context.setVersion(version);
    return version === undefined ? null : `${key} of ${version}`;
  };

  read({ guard }: Member, key: string): Promise<unknown> {
    return guard.getOrLoad(this.target(key), (context) => this.load(key, context));
  }

  /** Puts the keys into the cache, as the source has them now; resolves when it is known for which keys they are. */
  async keep(member: Member, ...keys: string[]): Promise<void> {
    for (const key of keys) await this.read(member, key);
    const { domain } = this;
    const names = keys.map((key) => entryKey({ domain, segment: keySegment(key) }));
    await until(async () => (await member.store.records.get(names)).every(Boolean), 'the records of the calls');
  }

  /** The keys that are served as fresh and are not what the source has. */
  async drift({ guard }: Member, keys: readonly string[]): Promise<string[]> {
    const seen = await Promise.all(keys.map((key) => guard.peek(this.target(key))));
    return keys.filter(
      (key, i) => seen[i]?.state === 'fresh' && (seen[i].version ?? seen[i].etag) !== this.has.get(key),
    );
  }
}
