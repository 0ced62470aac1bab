import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Fault, FaultKind, History } from '../history/history.js';
import { removeWithParent } from '../support/children.js';
import { startWorker, type FleetWorker } from '../support/fleet-worker.js';
import { startRedis } from '../support/redis-server.js';
import { STORE_FAULTS, strike, type FaultParts } from './faults.js';
import { CampaignFleet } from './fleet.js';
import { startCampaignOrigin } from './origin.js';
import { COMMAND_TIMEOUT_MS, type FoundBreach, type Tally, type Verdict } from './protocol.js';
import { Random } from './random.js';

export interface CampaignOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly processes: number;
  readonly readsPerSecond: number;
  /** Between two faults; milliseconds. */
  readonly calm: readonly [from: number, to: number];
  readonly lies: number;
  /** Names of the faults that may happen. */
  readonly faults: readonly string[];
  readonly progress: (line: string) => void;
  /** Where the history around the first breach is kept. */
  readonly historyFile: string;
}

export interface CampaignResult {
  readonly seconds: number;
  readonly seed: number;
  readonly tally: Tally;
  readonly faults: Readonly<Record<string, number>>;
  /** How long processes went on with dead connections after half-open ones had been made possible again; milliseconds. */
  readonly discoveryMs: readonly number[];
  readonly longestJudgingMs: number;
  /** Breaches by rule, with the first examples. */
  readonly breaches: Readonly<Record<string, BreachesOfRule>>;
  /** What went wrong besides. */
  readonly troubles: readonly string[];
}

export interface BreachesOfRule {
  readonly promise: number;
  count: number;
  readonly examples: FoundBreach[];
}

/** A process goes on for so long as if a fault lasted: it finds out at its next beat, and reconnects in its own time. */
const RECOVERY_MS = 3_000;
const SLACK_MS = 500;
const JUDGE_EVERY_MS = 5_000;
const WINDOW_MS = 10_000;
/** Nothing lasts longer from its beginning to its end, but what never ends. */
const LAG_MS = 12_000;
const PROGRESS_EVERY_MS = 10_000;
const STALL_MS = 150;
const EXAMPLES = 3;

export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const campaign = new Campaign(options);
  try {
    await campaign.start();
    await campaign.run();
    return await campaign.finish();
  } finally {
    await campaign.close();
  }
}

class Campaign {
  private readonly zeroMs = hrtimeMs();
  private readonly random: Random;
  private readonly folder = mkdtempSync(join(tmpdir(), 'cache-guard-campaign-'));
  private readonly removeFolder = removeWithParent(this.folder);
  private readonly closing: (() => unknown)[] = [this.removeFolder];
  private readonly faults: Record<string, number> = {};
  private readonly discoveryMs: number[] = [];
  private readonly breaches: Record<string, BreachesOfRule> = {};
  private readonly troubles: string[] = [];
  private parts!: FaultParts;
  private judge!: FleetWorker;
  private tally: Tally | undefined;
  private longestJudgingMs = 0;
  private faultIds = 0;
  private historyKept = false;
  private judgedUntil = 0;
  private over = false;

  constructor(private readonly options: CampaignOptions) {
    this.random = new Random(options.seed);
  }

  async start(): Promise<void> {
    const { processes, readsPerSecond, lies, seed } = this.options;
    this.judge = await startWorker('judge', { file: fileURLToPath(new URL('./workers/judge.js', import.meta.url)) });
    this.closing.push(() => this.judge.stop());
    const redis = await startRedis({ args: ['--appendonly', 'yes', '--appendfsync', 'no'] });
    this.closing.push(() => redis.stop());
    const origin = await startCampaignOrigin(this.random.fork());
    this.closing.push(() => origin.close());
    let known = false;
    const fleet = new CampaignFleet({
      redis,
      lies,
      folder: this.folder,
      random: this.random.fork(),
      origin: origin.url,
      zeroMs: this.zeroMs,
      namespace: `campaign-${seed}`,
      readsPerSecond: readsPerSecond / processes,
      writesPerSecond: readsPerSecond / processes / 30,
      onStart: (process, journal, { rules }) => {
        if (!known) this.tell('conditions', conditionsOf(rules));
        known = true;
        this.tell('follow', process, journal);
      },
    });
    await fleet.start(processes);
    const record = (kinds: readonly FaultKind[], process?: string) => this.record(kinds, process);
    const discovered = (ms: number) => void this.discoveryMs.push(Math.round(ms));
    this.parts = { fleet, redis, random: this.random.fork(), record, discovered };
  }

  async run(): Promise<void> {
    const { seconds } = this.options;
    const stopWatching = this.watchOneself();
    const untilMs = this.now() + seconds * 1_000;
    const judging = this.keepJudging();
    const progress = setInterval(() => this.options.progress(this.line()), PROGRESS_EVERY_MS);
    await this.keepStriking(untilMs);
    if (untilMs > this.now()) await pause(untilMs - this.now());
    this.over = true;
    clearInterval(progress);
    await judging;
    this.troubles.push(...(await this.parts.fleet.stop()));
    stopWatching();
  }

  async finish(): Promise<CampaignResult> {
    await this.judgeUntil(this.now());
    const { seconds, seed } = this.options;
    const { faults, discoveryMs, longestJudgingMs, breaches, troubles } = this;
    return { seconds, seed, tally: this.tally!, faults, discoveryMs, longestJudgingMs, breaches, troubles };
  }

  async close(): Promise<void> {
    for (const close of this.closing.toReversed()) await close();
  }

  private now(): number {
    return hrtimeMs() - this.zeroMs;
  }

  private tell(method: string, ...args: unknown[]): void {
    this.judge.call(method, ...args).catch((error: unknown) => this.troubles.push(`The judge: ${String(error)}`));
  }

  private record(kinds: readonly FaultKind[], process?: string): () => void {
    const beganAt = this.now();
    const faults = kinds.map((what) => {
      const fault: Fault = { op: 'fault', what, beganAt, ...(process !== undefined && { process }) };
      return { id: String(++this.faultIds), fault };
    });
    for (const { id, fault } of faults) this.tell('fault', id, fault);
    return () => {
      const endedAt = this.now();
      for (const { id, fault } of faults) this.tell('fault', id, { ...fault, endedAt });
    };
  }

  /** One fault after the other, each kind once before any comes again; sometimes one that befalls a process at the same time. */
  private async keepStriking(untilMs: number): Promise<void> {
    const { random } = this.parts;
    const [from, to] = this.options.calm;
    let bag: string[] = [];
    for (;;) {
      const calm = random.between(from, to);
      if (this.now() + calm > untilMs) return;
      await pause(calm);
      if (bag.length === 0) bag = random.shuffled(this.options.faults);
      const names = [bag.pop()!];
      const second = bag.findIndex((name) => !(name in STORE_FAULTS));
      if (second >= 0 && random.chance(0.25)) names.push(...bag.splice(second, 1));
      await Promise.all(names.map((name) => this.strike(name)));
    }
  }

  private async strike(name: string): Promise<void> {
    try {
      if (await strike(name, this.parts)) this.faults[name] = (this.faults[name] ?? 0) + 1;
    } catch (error) {
      this.troubles.push(`${name}: ${String(error)}`);
    }
  }

  private async keepJudging(): Promise<void> {
    let judgedAt = this.now();
    while (!this.over) {
      await pause(100);
      if (this.now() - judgedAt < JUDGE_EVERY_MS) continue;
      judgedAt = this.now();
      await this.judgeUntil(judgedAt - LAG_MS);
    }
  }

  /** In windows short enough for causes and effects to be seen together. */
  private async judgeUntil(until: number): Promise<void> {
    while (this.judgedUntil < until) {
      this.judgedUntil = Math.min(until, this.judgedUntil + WINDOW_MS);
      const verdict = await this.judge.call<Verdict>('judge', this.judgedUntil, !this.historyKept);
      const { breaches, tally, tookMs, history } = verdict;
      this.tally = tally;
      this.longestJudgingMs = Math.max(this.longestJudgingMs, Math.round(tookMs));
      for (const breach of breaches) this.note(breach);
      if (history === undefined) continue;
      this.historyKept = true;
      writeFileSync(this.options.historyFile, history);
    }
  }

  private note(breach: FoundBreach): void {
    const { promise, rule } = breach;
    const known = (this.breaches[rule] ??= { promise, count: 0, examples: [] });
    known.count += 1;
    if (known.examples.length < EXAMPLES) known.examples.push(breach);
    if (known.count === 1) this.options.progress(`BREACH of ${breach.history}`);
  }

  /** Everything passes through this process: while it has no time, nobody is answered. */
  private watchOneself(): () => void {
    let lookedAt = this.now();
    const timer = setInterval(() => {
      const at = this.now();
      if (at - lookedAt > STALL_MS) {
        const fault: Fault = { op: 'fault', what: 'unanswered', beganAt: lookedAt, endedAt: at };
        this.tell('fault', String(++this.faultIds), fault);
        this.faults['(harness late)'] = (this.faults['(harness late)'] ?? 0) + 1;
      }
      lookedAt = at;
    }, 20);
    return () => clearInterval(timer);
  }

  private line(): string {
    const sum = (counts: Record<string, number> = {}) => Object.values(counts).reduce((all, count) => all + count, 0);
    const breaches = Object.values(this.breaches).reduce((all, { count }) => all + count, 0);
    return [
      `${Math.round(this.now() / 1_000)} s`,
      `${sum(this.tally?.reads)} reads checked`,
      `${sum(this.tally?.loads)} loads`,
      `${sum(this.tally?.invalidations)} invalidations`,
      `${sum(this.faults)} faults`,
      `${breaches} breaches`,
    ].join(', ');
  }
}

function conditionsOf(domains: History['domains']): Omit<History, 'operations'> {
  return { domains, recoveryMs: RECOVERY_MS, answerMs: COMMAND_TIMEOUT_MS, slackMs: SLACK_MS };
}

function hrtimeMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
