import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startWorker, type FleetWorker } from '../support/fleet-worker.js';
import type { RedisServer } from '../support/redis-server.js';
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js';
import type { Booted, MemberOptions } from './protocol.js';
import type { Random } from './random.js';

const WORKER = fileURLToPath(new URL('./workers/member.js', import.meta.url));

/** One life of a process of the fleet, with its own way to Redis. */
export interface Member {
  readonly name: string;
  readonly worker: FleetWorker;
  readonly proxy: TcpProxy;
  readonly booted: Booted;
  /** A fault is being done to it. */
  busy: boolean;
}

export interface FleetParts extends Pick<
  MemberOptions,
  'namespace' | 'origin' | 'zeroMs' | 'readsPerSecond' | 'writesPerSecond' | 'lies'
> {
  readonly redis: RedisServer;
  readonly folder: string;
  readonly random: Random;
  /** Is told of each process before it does anything. */
  readonly onStart: (name: string, journal: string, booted: Booted) => void;
}

/** The processes of a campaign: each has a place, and when it is killed another one takes it. */
export class CampaignFleet {
  readonly members: Member[] = [];
  private lives = 0;

  constructor(private readonly parts: FleetParts) {}

  async start(size: number): Promise<void> {
    this.members.push(...(await Promise.all(Array.from({ length: size }, (_, place) => this.launch(place + 1)))));
  }

  /** Somebody to whom nothing is being done just now. */
  anybody(random: Random): Member | undefined {
    const idle = this.members.filter(({ busy }) => !busy);
    return idle.length > 0 ? random.pick(idle) : undefined;
  }

  /** SIGKILL; another process takes its place. */
  async replace(member: Member, killed: () => void): Promise<void> {
    const place = this.members.indexOf(member);
    await member.worker.kill();
    killed();
    await member.proxy.stop();
    this.members[place] = await this.launch(place + 1);
  }

  /** Ends all in good order; says which of them would not end by themselves, or had ended before. */
  async stop(): Promise<string[]> {
    await Promise.allSettled(this.members.map(({ worker }) => worker.call('stop')));
    const stopped = await Promise.all(
      this.members.map(async ({ worker, proxy, name }) => {
        const orderly = await worker.stop(10_000);
        await proxy.stop();
        return orderly ? [] : [`${name} did not end by itself. ${worker.log}`];
      }),
    );
    return stopped.flat();
  }

  private async launch(place: number): Promise<Member> {
    const { redis, folder, random, onStart, ...shared } = this.parts;
    const name = `p${place}.${++this.lives}`;
    const seed = random.below(2 ** 31);
    const proxy = await startProxy(redis.port);
    const worker = await startWorker(name, { file: WORKER });
    const journal = join(folder, `${name}.jsonl`);
    const booted = await worker.call<Booted>('boot', { ...shared, name, journal, seed, redisUrl: proxy.url });
    onStart(name, journal, booted);
    await worker.call('start');
    return { name, worker, proxy, booted, busy: false };
  }
}
