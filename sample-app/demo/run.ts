import { Fleet } from './fleet.js';
import type { Row } from './measure.js';
import { HELP, readOptions, type DemoOptions } from './options.js';
import { openRedis } from './redis.js';
import { legend, table } from './report.js';
import { MODES, scenarios, warmUp } from './scenarios.js';

const say = (line: string): void => void process.stderr.write(`${line}\n`);

async function demo(options: DemoOptions): Promise<void> {
  const began = performance.now();
  say('Starting Redis …');
  const redis = await openRedis(options.redisUrl);
  const rows: Row[] = [];
  try {
    say(`Starting the origin and ${options.processes} applications on Redis ${redis.version} …`);
    const fleet = await Fleet.start(options, redis.url, redis.client, say);
    try {
      say(`${options.processes} processes × ${options.readers} readers, ${options.originMs} ms a load`);
      for (const mode of MODES) await fleet.run(warmUp(options), mode);
      for (const scenario of scenarios(options)) {
        for (const mode of MODES) {
          const row = await fleet.run(scenario, mode);
          rows.push(row);
          say(`  ${scenario.name}, ${mode}: ${row.reads} reads, ${row.originLoads} loads`);
        }
      }
    } finally {
      await fleet.stop();
    }
  } finally {
    await redis.stop();
  }
  const seconds = (performance.now() - began) / 1_000;
  if (options.json) {
    const { processes, readers, originMs, ttlMs } = options;
    const report = { redis: redis.version, processes, readers, originMs, ttlMs, seconds, rows };
    process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
    return;
  }
  process.stdout.write(`\n${table(rows)}\n\n${legend(options)}\n\nTook ${seconds.toFixed(0)} s.\n`);
}

// Through `exit`, which ends the processes and the Redis that were started.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));

try {
  const options = readOptions(process.argv.slice(2), process.env);
  if (options) await demo(options);
  else process.stdout.write(`${HELP}\n`);
} catch (error) {
  say(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
