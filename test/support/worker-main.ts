import type { WorkerCall, WorkerReply } from './fleet-worker.js';

type Served = Record<string, (...args: never[]) => unknown>;

/**
 * The worker's side of `startWorker`: makes the functions callable from the test. Serve a `close` that ends what the
 * worker has opened; `stop()` calls it, then the process must end by itself.
 */
export function serve(functions: Served): void {
  let closing = false;
  process.on('message', (call: WorkerCall) => {
    if (call.method === 'close' && !closing) {
      closing = true;
      tellWhatKeeps();
    }
    void answer(functions, call);
  });
  // A test process that vanished closes the channel without a word.
  process.once('disconnect', () => {
    if (!closing) process.exit(1);
  });
}

/** A worker that is ended for not ending by itself leaves word of what kept it. */
function tellWhatKeeps(): void {
  const tell = (): void => console.error(`Still there: ${process.getActiveResourcesInfo().join(', ')}`);
  setTimeout(tell, 10_000).unref();
}

async function answer(functions: Served, { id, method, args }: WorkerCall): Promise<void> {
  try {
    const served = functions[method];
    if (!served && method !== 'ready' && method !== 'close') throw new Error(`This worker serves no ${method}().`);
    reply({ id, result: await served?.(...(args as never[])) });
  } catch (error) {
    const { name, message, code } = error as Error & { code?: string };
    reply({ id, error: { name, message, ...(code === undefined ? {} : { code }) } });
  }
}

function reply(message: WorkerReply): void {
  process.send?.(message);
}
