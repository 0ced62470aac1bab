import { domainRules, sorted, type Fault, type FaultKind, type History, type Operation } from '../history.js';
import type { Where } from '../recorder.js';
import type { Weather } from './link.js';
import { Process, Source, type World } from './process.js';
import { Random } from './random.js';
import { PLACES, type Act, type Schedule } from './schedule.js';
import { Server, type Sabotage } from './server.js';
import { Timeline } from './timeline.js';

/** What a process needs, once everything is well again, to notice that and to take the store at its word. */
const AFTERWARDS_MS = 4_500;
/** No reader waits longer than this, and no shutdown. */
const PATIENCE_MS = 6_000;
const STEP_MS = 50;

/** Runs a schedule in simulated time, and what it takes for everything to come to an end. */
export async function simulate(schedule: Schedule, sabotage?: Sabotage): Promise<History> {
  const simulation = new Simulation(schedule, sabotage);
  await simulation.run();
  return simulation.history();
}

class Simulation {
  private readonly timeline = new Timeline();
  private readonly operations: Operation[] = [];
  private readonly world: World;
  private readonly server: Server;
  private readonly fleet: Process[];
  private readonly underway = new Map<Promise<unknown>, Process>();
  /** What has begun and is to end: faults of the schedule, each with what ends it. */
  private readonly faults = new Map<object, () => void>();
  private readings = 0;
  private lives = 0;

  constructor(
    private readonly schedule: Schedule,
    sabotage?: Sabotage,
  ) {
    this.server = new Server(this.timeline, sabotage);
    const now = () => Math.round((this.timeline.monotonic() + ++this.readings * 1e-6) * 1e6) / 1e6;
    const record = (operation: Operation) => void this.operations.push(operation);
    const random = new Random(schedule.seed ^ 0x5eed);
    this.world = {
      timeline: this.timeline,
      server: this.server,
      schedule,
      random,
      source: new Source(),
      now,
      record,
    };
    this.fleet = Array.from({ length: schedule.processes }, () => this.newProcess());
  }

  async run(): Promise<void> {
    const { timeline, schedule } = this;
    for (const step of schedule.steps) {
      await timeline.runUntil(step.atMs);
      this.perform(step);
    }
    for (const heal of this.faults.values()) heal();
    await timeline.runUntil(timeline.monotonic() + AFTERWARDS_MS);
    for (const [place] of PLACES.entries()) for (const process of this.fleet) this.read(process, 'getOrLoad', place);
    await this.settle();
    for (const process of this.fleet) this.start(process, process.guard.close());
    await this.settle();
    for (const process of this.fleet) process.recorder.abandon();
  }

  private async settle(): Promise<void> {
    const { timeline } = this;
    const untilMs = timeline.monotonic() + PATIENCE_MS;
    while (this.underway.size > 0) {
      if (timeline.monotonic() > untilMs) throw new Error(`${this.underway.size} calls have not come to an end`);
      await timeline.runUntil(timeline.monotonic() + STEP_MS);
    }
  }

  history(): History {
    const { versioned } = this.schedule;
    const policies = this.fleet[0]!.guard.policies();
    const domains = Object.fromEntries(policies.map((policy) => [policy.domain, domainRules(policy, versioned)]));
    return { domains, recoveryMs: 1_500, answerMs: 45, slackMs: 2, operations: sorted(this.operations) };
  }

  private perform(act: Act): void {
    switch (act.act) {
      case 'read':
        for (const by of act.by) this.read(this.fleet[by]!, act.via, act.place);
        return;
      case 'change':
        return this.change(act);
      case 'put': {
        const where = this.where(act.place);
        const process = this.fleet[act.by]!;
        if (process.usable) this.start(process, process.recorder.put(where, this.world.source.change(where)));
        return;
      }
      case 'write': {
        const where = this.where(act.place);
        const process = this.fleet[act.by]!;
        if (process.usable) this.start(process, process.recorder.writeThrough(where, process.write(where)));
        return;
      }
      case 'save':
        return this.server.save();
      case 'pause-server':
        if (!this.server.running || this.server.paused) return;
        this.server.pause();
        return this.fault('store-away', undefined, act.forMs, () => this.server.resume());
      case 'kill-server':
        return this.killServer(act);
      case 'pause-process': {
        const process = this.fleet[act.by]!;
        if (!process.clock.running) return;
        process.clock.pause();
        return this.fault('process-paused', process.name, act.forMs, () => process.clock.resume());
      }
      case 'kill-process':
        return this.killProcess(act);
      case 'jump-wall':
        return this.fleet[act.by]!.clock.jumpWall(act.ms);
      case 'cut':
      case 'silence': {
        const { name, link } = this.fleet[act.by]!;
        link[act.act](act.way);
        const what = act.way === 'commands' ? 'commands-cut' : 'signals-cut';
        return this.fault(what, name, act.forMs, () => link.mend(act.way));
      }
      case 'storm':
        return this.storm(this.fleet[act.by]!, act.forMs, act.weather);
    }
  }

  private read(process: Process, via: 'getOrLoad' | 'peek' | 'refresh', place: number): void {
    const where = this.where(place);
    if (process.usable) this.start(process, process.recorder.read(via, where, process.see(where)));
  }

  private change(act: Act & { act: 'change' }): void {
    const process = this.fleet[act.by]!;
    if (!process.usable) return;
    const where = this.where(act.place);
    this.world.source.change(where);
    const told = process.recorder.invalidate(act.scope, where, act.mode).then(() => {
      for (const reader of act.readers) this.read(this.fleet[reader]!, 'getOrLoad', act.place);
    });
    this.start(process, told);
  }

  private killServer({ forMs, from }: Act & { act: 'kill-server' }): void {
    const { server } = this;
    if (!server.running || server.paused) return;
    const beganAt = this.world.now();
    server.kill();
    for (const { link } of this.fleet) for (const way of ['commands', 'signals'] as const) link.lose(way);
    const what = from === 'empty' ? 'restart-empty' : 'restart-snapshot';
    this.fault('store-away', undefined, forMs, () => {
      server.restart(from);
      this.world.record({ op: 'fault', what, beganAt, endedAt: this.world.now() });
    });
  }

  private killProcess({ by: index, forMs }: Act & { act: 'kill-process' }): void {
    const process = this.fleet[index]!;
    if (!process.clock.running) return;
    process.kill();
    this.world.record({ op: 'fault', what: 'process-killed', process: process.name, beganAt: this.world.now() });
    for (const [work, by] of this.underway) if (by === process) this.underway.delete(work);
    const restart = () => {
      this.faults.delete(process);
      this.fleet[index] = this.newProcess();
    };
    const cancel = this.timeline.schedule(forMs, restart);
    this.faults.set(process, () => (cancel(), restart()));
  }

  private storm({ link, name }: Process, forMs: number, weather: Weather): void {
    link.weather = weather;
    this.fault('unanswered', name, forMs, () => (link.weather = this.schedule.weather));
  }

  private fault(what: FaultKind, process: string | undefined, forMs: number, end: () => void): void {
    const began: Omit<Fault, 'endedAt'> = {
      op: 'fault',
      what,
      ...(process ? { process } : {}),
      beganAt: this.world.now(),
    };
    const over = () => {
      cancel();
      if (!this.faults.delete(began)) return;
      end();
      this.world.record({ ...began, endedAt: this.world.now() });
    };
    const cancel = this.timeline.schedule(forMs, over);
    this.faults.set(began, over);
  }

  private start(process: Process, work: Promise<unknown>): void {
    this.underway.set(work, process);
    void work.finally(() => this.underway.delete(work));
  }

  private where(place: number): Where {
    return { ...PLACES[place]!, versioned: this.schedule.versioned };
  }

  private newProcess(): Process {
    return new Process(`p${++this.lives}`, this.world);
  }
}
