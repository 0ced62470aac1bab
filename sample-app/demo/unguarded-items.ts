import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import type { Item } from './origin-client.js';
import { OriginClient } from './origin-client.js';
import type { Items, ItemRead } from './items.js';
import type { Domain } from './policies.js';

/** Cache-aside as it is usually written: GET; on a miss load and SET with a TTL; DEL after a write. */
@Injectable()
export class UnguardedItems implements Items, OnApplicationShutdown {
  constructor(
    private readonly redis: Redis,
    private readonly origin: OriginClient,
    private readonly ttlMs: Readonly<Record<Domain, number>>,
  ) {}

  async read(domain: Domain, id: string): Promise<ItemRead> {
    const key = `unguarded:${domain}:${id}`;
    const cached = await this.redis.get(key);
    if (cached !== null) return { version: (JSON.parse(cached) as Item).version, marked: false };
    const item = await this.origin.load(id);
    await this.redis.set(key, JSON.stringify(item), 'PX', this.ttlMs[domain]);
    return { version: item.version, marked: false };
  }

  async write(domain: Domain, id: string): Promise<Item> {
    const item = await this.origin.write(id);
    await this.redis.del(`unguarded:${domain}:${id}`);
    return item;
  }

  async onApplicationShutdown(): Promise<void> {
    await this.redis.quit();
  }
}
