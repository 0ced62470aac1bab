import { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { FakeClock } from 'nestjs-cache-guard/testing';
import { describe, expect, it } from 'vitest';
import { makeBreaker } from '../../lib/adapters/breaker.js';
import { unavailable } from '../../lib/adapters/redis/budget.js';
import type { NodeClient } from '../../lib/adapters/redis/client-shapes.js';
import type { MakeBreaker } from '../../lib/core/breaker.js';
import { NodeLink } from '../../lib/adapters/redis/node-link.js';

const silence = unavailable('no answer');
const replied = (message: string): Error =>
  unavailable('the script failed', Object.assign(new Error(message), { name: 'ReplyError' }));

interface Bench {
  readonly link: NodeLink;
  readonly client: EventEmitter & { renewals: number; runId: string };
  readonly clock: FakeClock;
  readonly lost: { times: number };
  readonly command: (outcome?: Error) => Promise<unknown>;
  readonly beat: (outcome?: Error) => Promise<unknown>;
  /** How many commands and beats have reached the server. */
  readonly sent: { commands: number; beats: number };
}

const neverOpen: MakeBreaker = () => ({ closed: true, run: (work) => work(false), onChange: () => {} });

function setup({ mends = true, breaker = makeBreaker } = {}): Bench {
  const client = Object.assign(new EventEmitter(), {
    renewals: 0,
    runId: 'a'.repeat(40),
    options: { host: '127.0.0.1' },
    info: async () => `redis_version:7.4.0\r\nrun_id:${client.runId}\r\n`,
    time: async () => ['1700000000', '0'],
  });
  const clock = new FakeClock();
  const lost = { times: 0 };
  const sent = { commands: 0, beats: 0 };
  const link = new NodeLink(
    client as unknown as NodeClient,
    clock,
    breaker,
    mends ? () => void client.renewals++ : undefined,
    () => void lost.times++,
  );
  const run = (kind: 'commands' | 'beats', outcome: Error | undefined) => async () => {
    sent[kind]++;
    if (outcome) throw outcome;
    return 'answer';
  };
  return {
    link,
    client,
    clock,
    lost,
    sent,
    command: (outcome) => link.run(run('commands', outcome)),
    beat: (outcome) => link.beat(run('beats', outcome)),
  };
}

const refused = { code: 'CG_STORE_UNAVAILABLE' };

describe('NodeLink', () => {
  it('sends nothing after a beat was not answered, until one is', async () => {
    const { command, beat, sent, lost } = setup();
    await expect(beat(silence)).rejects.toBe(silence);
    for (let i = 0; i < 10; i++) await expect(command()).rejects.toMatchObject(refused);
    expect(sent.commands).toBe(0);
    expect(lost.times).toBe(1);
    expect(await beat()).toBe('answer');
    expect(await command()).toBe('answer');
    expect(lost.times).toBe(2);
  });

  it('sends nothing after five commands in a row were not answered; beats alone try it, and end that', async () => {
    const { command, beat, sent } = setup();
    for (let i = 0; i < 5; i++) await expect(command(silence)).rejects.toBe(silence);
    for (let i = 0; i < 10; i++) await expect(command()).rejects.toMatchObject(refused);
    expect(sent.commands).toBe(5);
    while (sent.beats === 0) await beat().catch(() => pause(20));
    expect(await command()).toBe('answer');
    expect(sent).toEqual({ commands: 6, beats: 1 });
  });

  it('leaves it to beats to probe an open breaker', async () => {
    const probed: MakeBreaker = () => ({ closed: false, run: (work) => work(true), onChange: () => {} });
    const { command, beat, sent } = setup({ breaker: probed });
    await expect(command()).rejects.toMatchObject(refused);
    expect(await beat()).toBe('answer');
    expect(sent).toEqual({ commands: 0, beats: 1 });
  });

  it('commands in between that are answered keep it in use', async () => {
    const { command, sent } = setup();
    for (let i = 0; i < 20; i++) await command(i % 5 === 4 ? undefined : silence).catch(() => {});
    expect(sent.commands).toBe(20);
  });

  for (const message of ['OOM command not allowed', 'WRONGTYPE Operation', 'NOPERM this user has no permissions']) {
    it(`a reply that tells of the command only is no outage: ${message}`, async () => {
      const { command, beat, sent, lost } = setup();
      for (let i = 0; i < 10; i++) await expect(command(replied(message))).rejects.toBeDefined();
      await expect(beat(replied(message))).rejects.toBeDefined();
      expect(await command()).toBe('answer');
      expect([sent.commands, lost.times]).toEqual([11, 0]);
    });
  }

  for (const message of ['LOADING', 'READONLY', 'MASTERDOWN', 'CLUSTERDOWN', 'BUSY']) {
    it(`a reply that tells of the server is one: ${message}`, async () => {
      const { command, beat, lost } = setup();
      await expect(beat(replied(`${message} it cannot serve`))).rejects.toBeDefined();
      await expect(command()).rejects.toMatchObject(refused);
      expect(lost.times).toBe(1);
    });
  }

  it('gives up a connection whose beats are not answered, but not more often than every two seconds', async () => {
    const { client, clock, beat } = setup({ breaker: neverOpen });
    await beat(silence).catch(() => {});
    expect(client.renewals).toBe(0);
    for (let ms = 0; ms < 10_000; ms += 100) {
      clock.advance(100);
      await beat(silence).catch(() => {});
    }
    expect(client.renewals).toBe(5);
  });

  it('leaves the connections of a cluster to the cluster', async () => {
    const { client, clock, beat } = setup({ mends: false });
    clock.advance(10_000);
    await beat(silence).catch(() => {});
    expect(client.renewals).toBe(0);
  });

  it('asks who answers on every connection anew, and trusts no answer before', async () => {
    const { link, client, lost, command } = setup();
    const first = await link.identify();
    expect(link.known).toBe(first);
    client.emit('close');
    expect([link.known, lost.times]).toEqual([undefined, 1]);
    await expect(command()).rejects.toMatchObject(refused);
    client.runId = 'b'.repeat(40);
    expect(await link.identify()).not.toBe(first);
  });

  it('an identity that was asked for over a lost connection does not count', async () => {
    const { link, client } = setup();
    const asked = link.identify();
    client.emit('close');
    await expect(asked).rejects.toMatchObject(refused);
    expect(link.known).toBeUndefined();
  });
});
