import { Agent, get } from 'node:http';

/** What one round asks for. */
export interface Round {
  readonly url: string;
  readonly connections: number;
  readonly forMs: number;
}

export interface Measured {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Resolves when the whole answer is there. */
function ask(url: string, agent: Agent): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url} answered ${response.statusCode}`));
      response.on('error', reject).on('end', resolve).resume();
    });
    request.on('error', reject);
  });
}

/** Each connection is kept alive, and asks again as soon as it has its answer. */
async function measure({ url, connections, forMs }: Round): Promise<Measured> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const tookMs: number[] = [];
  const began = performance.now();
  const end = began + forMs;
  const connection = async (): Promise<void> => {
    for (let now = performance.now(); now < end;) {
      await ask(url, agent);
      const then = performance.now();
      tookMs.push(then - now);
      now = then;
    }
  };
  await Promise.all(Array.from({ length: connections }, connection));
  const seconds = (performance.now() - began) / 1_000;
  agent.destroy();
  const sorted = Float64Array.from(tookMs).toSorted();
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
  return { perSecond: sorted.length / seconds, p50Ms: at(0.5), p99Ms: at(0.99) };
}

process.on('message', (round: Round) => void measure(round).then((measured) => process.send?.(measured)));
