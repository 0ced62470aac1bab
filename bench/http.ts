import 'reflect-metadata';
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Controller, Get, Module, Param, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Cached, CacheGuardModule } from 'nestjs-cache-guard';
import { startRedis } from '../test/support/redis-server.js';
import type { Measured, Round } from './http-client.js';
import { valueOf, type Offer } from './values.js';

/**
 * What the cache costs a route whose value is there: a bare route, in an application without the module, beside the same route as a
 * fresh hit. The handler makes its value from nothing, so that all of the difference is the cache's. One client in a process of its own,
 * turn by turn in short rounds; the table gives the medians. `node http.js 100` for shorter rounds.
 */

const ROUNDS = 7;
const ROUND_MS = Number(process.argv[2] ?? 1_000);
const CONNECTIONS = [1, 32] as const;
const ADAPTERS = ['Express', 'Fastify'] as const;

@Controller('offers')
class BareController {
  @Get(':id')
  async byId(@Param('id') id: string): Promise<Offer> {
    return valueOf(id);
  }
}

@Controller('offers')
class GuardedController {
  @Get(':id')
  @Cached({ domain: 'offers' })
  async byId(@Param('id') id: string): Promise<Offer> {
    return valueOf(id);
  }
}

@Module({ controllers: [BareController] })
class BareModule {}

@Module({ controllers: [GuardedController] })
class GuardedModule {}

interface Contender {
  readonly adapter: (typeof ADAPTERS)[number];
  readonly name: string;
  readonly url: string;
  readonly app: INestApplication;
}

function guarded(namespace: string, l1: boolean, redisUrl?: string): object {
  const offers = { freshness: 'experience', softTtl: '30m', hardTtl: '1h', l1: l1 && {} } as const;
  const root = CacheGuardModule.forRoot({ namespace, ...(redisUrl ? { redisUrl } : {}), domains: { offers } });
  return { module: GuardedModule, imports: [root] };
}

async function openContenders(redisUrl: string): Promise<Contender[]> {
  const contenders: Contender[] = [];
  for (const adapter of ADAPTERS) {
    const modules = {
      'bare route': BareModule,
      'guarded, hit in memory': guarded(`http-${adapter}`, true),
      'guarded, hit in L1 before Redis': guarded(`http-l1-${adapter}`, true, redisUrl),
      'guarded, hit in Redis': guarded(`http-redis-${adapter}`, false, redisUrl),
    };
    for (const [name, module] of Object.entries(modules)) {
      const app =
        adapter === 'Fastify'
          ? await NestFactory.create(module, new FastifyAdapter(), { logger: false })
          : await NestFactory.create(module, { logger: false });
      await app.listen(0, '127.0.0.1');
      contenders.push({ adapter, name, url: `${await app.getUrl()}/offers/gold`, app });
    }
  }
  return contenders;
}

/** That every later answer is a hit is what the measurement says it measures. */
async function fill({ name, url }: Contender): Promise<void> {
  let status = '';
  for (let i = 0; i < 20; i++) status = (await fetch(url)).headers.get('cache-status') ?? 'none';
  if (!status.includes(name.startsWith('bare') ? 'none' : '; hit')) throw new Error(`${name}: Cache-Status ${status}`);
}

interface Seen extends Measured {
  /** Processor time of this process, user and system: the client's own is not in it. */
  readonly cpuUs: number;
}

async function ask(client: ChildProcess, round: Round): Promise<Seen> {
  const cpu = process.cpuUsage();
  client.send(round);
  const [measured] = (await once(client, 'message')) as [Measured];
  const { user, system } = process.cpuUsage(cpu);
  return { ...measured, cpuUs: (user + system) / (measured.perSecond * (round.forMs / 1_000)) };
}

function median(seen: readonly Seen[], field: keyof Seen): number {
  return Float64Array.from(seen, (one) => one[field]).toSorted()[Math.floor(seen.length / 2)]!;
}

function line(cells: readonly string[]): void {
  console.log(cells.map((cell, i) => (i === 0 || i === 2 ? cell.padEnd([8, 0, 33][i]!) : cell.padStart(13))).join(' '));
}

async function compare(client: ChildProcess, contenders: readonly Contender[], connections: number): Promise<void> {
  const rounds = contenders.map((contender) => ({ contender, seen: [] as Seen[] }));
  // The first round warms up.
  for (let i = 0; i <= ROUNDS; i++) {
    for (const { contender, seen } of rounds) {
      const measured = await ask(client, { url: contender.url, connections, forMs: ROUND_MS });
      if (i > 0) seen.push(measured);
    }
  }
  const bareUs = 1e6 / median(rounds[0]!.seen, 'perSecond');
  const bareCpuUs = median(rounds[0]!.seen, 'cpuUs');
  for (const { contender, seen } of rounds) {
    const perSecond = median(seen, 'perSecond');
    const numbers = [median(seen, 'p50Ms').toFixed(3), median(seen, 'p99Ms').toFixed(3)];
    const cpuUs = median(seen, 'cpuUs');
    const more = [1e6 / perSecond - bareUs, cpuUs - bareCpuUs].map((us) => us.toFixed(1));
    const mores = contender === contenders[0] ? ['', cpuUs.toFixed(1), ''] : [more[0]!, cpuUs.toFixed(1), more[1]!];
    line([contender.adapter, String(connections), ` ${contender.name}`, perSecond.toFixed(0), ...numbers, ...mores]);
  }
}

const redis = await startRedis();
const client = fork(fileURLToPath(new URL('http-client.js', import.meta.url)));
// It has said why.
client.once('exit', (code) => code && process.exit(code));
const contenders = await openContenders(redis.url);
try {
  for (const contender of contenders) await fill(contender);
  console.log(`Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model.trim()}; ${ROUNDS} rounds, medians\n`);
  line(['server', 'connections', ' route', 'requests/s', 'p50 ms', 'p99 ms', '+ µs/request', 'CPU µs', '+ CPU µs']);
  for (const adapter of ADAPTERS) {
    for (const connections of CONNECTIONS) {
      await compare(
        client,
        contenders.filter((one) => one.adapter === adapter),
        connections,
      );
      console.log();
    }
  }
} finally {
  client.kill();
  await Promise.all(contenders.map(({ app }) => app.close()));
  await redis.stop();
}
