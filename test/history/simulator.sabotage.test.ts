import { expect, test } from 'vitest';
import type { CommitReply, CommitRequest, Store } from '../../lib/core/store.js';
import { check } from './checker.js';
import type { Breach } from './facts.js';
import { scheduleOf, type Schedule } from './simulator/schedule.js';
import type { Inside, Sabotage } from './simulator/server.js';
import { simulate } from './simulator/simulate.js';

/** The first seeds are tried until one shows the fault; more than this would be a weak simulator. */
const PATIENCE = 150;

/** A store with some of its methods replaced. */
function altered(model: Store, methods: Partial<Store>): Store {
  return new Proxy(model, {
    get(target, name) {
      const own = methods[name as keyof Store];
      if (own !== undefined) return own;
      const value = target[name as keyof Store] as unknown;
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
}

/** Writes what the fence refused. */
function unfenced(model: Store, { entries }: Inside, outcomes: readonly CommitReply['outcome'][]): Store {
  const commit = async (request: CommitRequest): Promise<CommitReply> => {
    const reply = await model.commit(request);
    if (!outcomes.includes(reply.outcome) || request.kind === 'clear') return reply;
    entries.set(request.key, { bytes: Buffer.from(request.bytes), untilMs: request.hardMs });
    return { ...reply, outcome: 'committed' };
  };
  return altered(model, { commit });
}

/** An invalidation that the server's snapshot does not know of, and nobody who reads before all is quiet again. */
const FORGETFUL: Schedule = {
  ...scheduleOf(1),
  lasting: true,
  source: {
    failing: 0,
    slow: 0,
    hanging: 0,
  },
  steps: [
    {
      atMs: 100,
      act: 'read',
      via: 'getOrLoad',
      by: [0],
      place: 0,
    },
    {
      atMs: 300,
      act: 'save',
    },
    {
      atMs: 400,
      act: 'change',
      by: 1,
      place: 0,
      scope: 'key',
      mode: 'remove',
      readers: [],
    },
    {
      atMs: 600,
      act: 'kill-server',
      forMs: 100,
      from: 'snapshot',
    },
  ],
};

interface Case {
  readonly promises: readonly number[];
  readonly sabotage: Sabotage;
  /** Where chance would take long. */
  readonly schedule?: Schedule;
}

const SABOTAGES: Readonly<Record<string, Case>> = {
  'commits are not fenced by their token': {
    promises: [2, 3],
    sabotage: { model: (model, inside) => unfenced(model, inside, ['fenced-token']) },
  },
  'leases exclude nobody': {
    promises: [1],
    sabotage: {
      model: (model) => altered(model, { acquire: (request) => model.acquire({ ...request, mode: 'shared' }) }),
    },
  },
  'invalidations of a key are not written down': {
    promises: [2, 3],
    sabotage: { model: (model) => altered(model, { invalidate: async () => {} }) },
  },
  'tags and domains do not move': {
    promises: [2, 3],
    sabotage: { model: (model) => altered(model, { advance: async () => {} }) },
  },
  'messages of invalidations are lost, beats are not': {
    promises: [10],
    sabotage: { drops: ({ kind }) => kind === 'invalidated' || kind === 'advanced' },
  },
  'an older server passes for the one before it': {
    promises: [3],
    sabotage: { epochOf: () => 1, keepsGenerations: true },
    schedule: FORGETFUL,
  },
  'older versions replace newer ones': {
    promises: [11],
    sabotage: { model: (model, inside) => unfenced(model, inside, ['fenced-version', 'superseded', 'fenced-token']) },
  },
};

async function firstBreach({ sabotage, promises, schedule }: Case): Promise<Breach | undefined> {
  for (let seed = 1; seed <= (schedule ? 1 : PATIENCE); seed++) {
    const { breaches } = check(await simulate(schedule ?? scheduleOf(seed), sabotage));
    const found = breaches.find(({ promise }) => promises.includes(promise));
    if (found) return found;
  }
  return undefined;
}

test.each(Object.entries(SABOTAGES))('found out: %s', { timeout: 120_000 }, async (_what, sabotaged) => {
  const breach = await firstBreach(sabotaged);
  expect(breach).toBeDefined();
  expect(breach!.operations.length).toBeLessThanOrEqual(4);
});

test('the same schedule breaks nothing where servers are told apart', async () => {
  expect(check(await simulate(FORGETFUL)).breaches).toEqual([]);
});
