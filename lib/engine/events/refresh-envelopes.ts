import type { CodecSet } from '../../core/codec.js';
import { readEvent, type PublishedEvent } from '../../core/domain-event.js';
import { isRecord } from '../../core/field-checker.js';
import { DerivedKey, type KeyPart } from '../../core/keys.js';
import type { RefreshJob } from '../../core/refresh-job.js';
import type { Sealing } from '../../core/sealing.js';
import { shapeOf } from '../../core/shape.js';

const TYPE = 'cache-guard.refresh';
const SOURCE = 'cache-guard';
const PLACE = 'refresh';

/** Jobs as the processes of a fleet hand them to each other; those of domains that encrypt are encrypted. */
export class RefreshEnvelopes {
  constructor(
    private readonly codecs: CodecSet,
    private readonly sealing: Pick<Sealing, 'encrypts' | 'sealNote' | 'openNote'>,
  ) {}

  /** Arguments keep what JSON would lose, or stay behind if nothing can hold them. */
  put(job: RefreshJob, id: string): PublishedEvent {
    const { domain, name, key, keyInput, args, sinceMs } = job;
    const given = !DerivedKey.is(keyInput)
      ? { given: keyInput }
      : keyInput.kind === 'route'
        ? undefined
        : { derived: keyInput.args };
    const kept = { keyInput: keepable(given), args: keepable(args) };
    const bytes = this.codecs.forEncoding('json', 'rich').encode({ domain, name, key, sinceMs, ...kept });
    const data = this.sealing.encrypts(domain)
      ? { sealed: this.sealing.sealNote(domain, PLACE, bytes).toString('base64') }
      : { job: bytes.toString() };
    return { id, source: SOURCE, type: TYPE, data };
  }

  /** The job in what came; `undefined` for whatever else. Never throws. */
  take(given: unknown): RefreshJob | undefined {
    const event = readEvent(given);
    if ('malformed' in event || event.type !== TYPE || !isRecord(event.data)) return undefined;
    try {
      const { job: text, sealed } = event.data as { job?: unknown; sealed?: unknown };
      const isSealed = typeof sealed === 'string';
      const bytes = isSealed ? this.sealing.openNote(PLACE, Buffer.from(sealed, 'base64')) : Buffer.from(String(text));
      const job = bytes && jobIn(this.codecs.forEncoding('json', 'rich').decode(bytes));
      // Whoever can write to the stream must not get round the encryption by leaving it out.
      return job && !isSealed && this.sealing.encrypts(job.domain) ? undefined : job;
    } catch {
      return undefined;
    }
  }
}

function jobIn(content: unknown): RefreshJob | undefined {
  const { domain, name, key, keyInput, args, sinceMs } = content as Readonly<Record<string, unknown>>;
  const sound =
    typeof domain === 'string' &&
    typeof key === 'string' &&
    (name === undefined || typeof name === 'string') &&
    (args === undefined || Array.isArray(args)) &&
    (sinceMs === undefined || typeof sinceMs === 'number');
  return sound ? { domain, name, key, keyInput: keyIn(keyInput), args, sinceMs } : undefined;
}

function keyIn(kept: unknown): KeyPart | undefined {
  const { derived, given } = (kept ?? {}) as { derived?: unknown; given?: unknown };
  return Array.isArray(derived) ? new DerivedKey(derived) : (given as KeyPart | undefined);
}

function keepable<T>(value: T): T | undefined {
  return shapeOf(value).kind === 'refused' ? undefined : value;
}
