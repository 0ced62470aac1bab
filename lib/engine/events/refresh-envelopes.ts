import type { CodecSet } from '../../core/codec.js';
import { readEvent, type PublishedEvent } from '../../core/domain-event.js';
import { isRecord } from '../../core/field-checker.js';
import { DerivedKey, type KeyPart } from '../../core/keys.js';
import type { RefreshJob } from '../../core/refresh-job.js';
import { shapeOf } from '../../core/shape.js';

const TYPE = 'cache-guard.refresh';
const SOURCE = 'cache-guard';

/** A job as the processes of a fleet hand it to each other; its arguments keep what JSON would lose, or stay behind if nothing can hold them. */
export function envelopeOf(job: RefreshJob, id: string, codecs: CodecSet): PublishedEvent {
  const { domain, name, key, keyInput, args, sinceMs } = job;
  const given = DerivedKey.is(keyInput) ? { derived: keyInput.args } : { given: keyInput };
  const codec = codecs.forEncoding('json', 'rich');
  const kept = { keyInput: keepable(given), args: keepable(args) };
  const text = codec.encode({ domain, name, key, sinceMs, ...kept }).toString();
  return { id, source: SOURCE, type: TYPE, data: { job: text } };
}

/** The job in what came; `undefined` for whatever else. Never throws. */
export function jobIn(given: unknown, codecs: CodecSet): RefreshJob | undefined {
  const event = readEvent(given);
  if ('malformed' in event || event.type !== TYPE || !isRecord(event.data)) return undefined;
  try {
    const { job: text } = event.data as { job?: unknown };
    const job = codecs.forEncoding('json', 'rich').decode(Buffer.from(String(text))) as Readonly<
      Record<string, unknown>
    >;
    const { domain, name, key, keyInput, args, sinceMs } = job;
    const sound =
      typeof domain === 'string' &&
      typeof key === 'string' &&
      (name === undefined || typeof name === 'string') &&
      (args === undefined || Array.isArray(args)) &&
      (sinceMs === undefined || typeof sinceMs === 'number');
    return sound ? { domain, name, key, keyInput: keyIn(keyInput), args, sinceMs } : undefined;
  } catch {
    return undefined;
  }
}

function keyIn(kept: unknown): KeyPart | undefined {
  const { derived, given } = (kept ?? {}) as { derived?: unknown; given?: unknown };
  return Array.isArray(derived) ? new DerivedKey(derived) : (given as KeyPart | undefined);
}

function keepable<T>(value: T): T | undefined {
  return shapeOf(value).kind === 'refused' ? undefined : value;
}
