/** @ts-ignore: ioredis is optional, and without it these types are `any`. */
import type { Cluster, Redis, RedisOptions } from 'ioredis';
import { isRecord, type OptionsChecker } from '../core/field-checker.js';

/** What the user's own client is, and the options of one. */
export type { Redis, Cluster, RedisOptions };

/** How to reach Redis. */
export type RedisConnection =
  { readonly client: Redis | Cluster } | { readonly url: string } | { readonly options: RedisOptions };

type Way = 'options' | 'url' | 'client';

/**
 * The one that was given, if any.
 *
 * @param names of the options that they were given as
 * @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`), which shows nothing of what was given: connection options carry passwords
 */
export function readConnection(
  check: OptionsChecker,
  given: Readonly<Partial<Record<Way, unknown>>>,
  names: Readonly<Record<Way, string>>,
): RedisConnection | undefined {
  const { options, url, client } = given as { options?: RedisOptions; url?: string; client?: Redis | Cluster };
  const chosen = (Object.keys(names) as Way[]).filter((way) => given[way] !== undefined).map((way) => names[way]);
  if (chosen.length > 1) {
    check.failAs(
      chosen.join(' and '),
      'given together',
      `give one of ${names.options}, ${names.url} and ${names.client}`,
    );
  }
  if (options !== undefined) {
    if (!isRecord(options)) check.failSecret(names.options, options, 'give connection options such as { host, port }');
    if (options.sentinels && !options.name) {
      const mend = "name the group of servers that the sentinels watch, such as 'mymaster'";
      check.fail(`${names.options}.name`, options.name, mend);
    }
    return { options };
  }
  if (url !== undefined) {
    if (typeof url !== 'string' || !/^rediss?:\/\/./.test(url) || !URL.canParse(url)) {
      check.failSecret(names.url, url, 'give a URL that starts with redis:// or rediss://');
    }
    return { url };
  }
  if (client === undefined) return undefined;
  check.able(names.client, client, ['duplicate'], 'give a Redis or Cluster of ioredis');
  return { client };
}
