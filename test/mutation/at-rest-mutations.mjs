import { breaking, breakingOn, breakingUnit } from './breaking.mjs';

const SEALING = 'core/sealing.ts';
const REST = '13-at-rest';
const LARGE = '14-large-values';
const READABLE = ['encryption', 'in what Redis is sent and keeps, in events, logs and metrics'];
const breaks = breaking(13);
const shows = breakingOn('e2e', 13);

/**
 * Of what lies in the store: encryption, what it is bound to, what is left out.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const atRestMutations = [
  breaks(
    'at rest: an entry is not bound to its key',
    SEALING,
    "return Buffer.concat([head, Buffer.from(key, 'utf8')]);",
    'return head;',
    [REST, 'the entry of another key [redis]'],
  ),
  breaks(
    'at rest: flags are not bound',
    SEALING,
    'const CHANGING_FLAGS = FLAG.marked | FLAG.removed;',
    'const CHANGING_FLAGS = 0xff;',
    [REST, 'an entry that was relabelled: an absence [redis]'],
  ),
  breaks(
    'at rest: a readable entry is taken',
    SEALING,
    "if (!entry.sealed) return 'not encrypted, though its domain is';",
    'if (!entry.sealed) return entry;',
    [REST, 'a readable entry in a domain that encrypts, and the other way round [redis]'],
  ),
  breaks(
    'at rest: the soft expiry can be put off',
    SEALING,
    'softMs: Math.min(softMs, bytes.readUIntBE(0, TIME_BYTES)),',
    'softMs,',
    [REST, 'a soft expiry is not put off [redis]'],
  ),
  breaks(
    'at rest: a thrown value need be no absence',
    SEALING,
    ' || (entry.flags & (FLAG.thrown | FLAG.negative)) === FLAG.thrown',
    '',
    [REST, 'a value that one flipped bit would have thrown, where nothing is encrypted [redis]'],
  ),
  breaks('at rest: nothing is authenticated', 'adapters/encryption.ts', '      decipher.final();\n', '', [
    REST,
    'an entry that was relabelled: of another codec [redis]',
  ]),
  breaks(
    'at rest: namespaces are not told apart',
    'adapters/encryption.ts',
    "this.#context = Buffer.from(`${context}:`, 'utf8');",
    'this.#context = Buffer.alloc(0, context);',
    [REST, 'another key under the same id [redis]'],
  ),
  breaks(
    'at rest: what is made from an encrypted value is kept readable',
    'core/composition.ts',
    "return inner.encrypt && !outer.encrypt ? 'inner-encrypted' : undefined;",
    'return undefined;',
    [REST, 'is kept where that is encrypted as well, and nowhere else [memory]'],
  ),
  shows('at rest: etags are readable', SEALING, 'sealed: true, etag: undefined,', 'sealed: true,', READABLE),
  shows(
    'at rest: recorded arguments are readable',
    'engine/call-records.ts',
    'this.sealing.encrypts(domain) ? this.sealing.sealNote(domain, placeOf(key), bytes) : bytes;',
    'bytes;',
    READABLE,
  ),
  shows(
    'at rest: jobs of workers are readable',
    'engine/events/refresh-envelopes.ts',
    'const data = this.sealing.encrypts(domain)',
    'const data = this.sealing.encrypts("")',
    READABLE,
  ),
  shows(
    'at rest: errors are quoted',
    'core/errors.ts',
    'confidential ? errorKind(error) : thrownText(error)',
    'thrownText(error)',
    READABLE,
  ),
  breaks(
    'at rest: a payload inflates without bound',
    'engine/packing.ts',
    'inflate(payload, { maxOutputLength: maxValueBytes })',
    'inflate(payload)',
    [REST, 'what inflates to more than any value may take [redis]'],
  ),
  breaking(14)(
    'at rest: a payload of any length is decoded',
    'engine/packing.ts',
    'if (payload.length > maxValueBytes) throw',
    'if (false) throw',
    [LARGE, 'is a miss where it is found (compressed above false) [memory]'],
  ),
  breakingUnit(13)(
    'at rest: what names itself is read',
    'engine/packing.ts',
    "sound ||= shapeOf(value, 'none', maxValueBytes).kind !== 'refused';",
    'sound = true;',
    ['packing', 'what names itself, or few objects that are endlessly many, is not read'],
  ),
  breaking(14)(
    'at rest: a value of any length is kept',
    'engine/packing.ts',
    'if (bytes.length > maxValueBytes)',
    'if (false)',
    [LARGE, 'is handed out, not kept, and says the mend (compressed above 0) [memory]'],
  ),
  shows(
    'at rest: paths of values are told',
    'engine/packing.ts',
    "encrypt ? '(not shown)' : shape.path",
    'shape.path',
    READABLE,
  ),
  shows(
    'at rest: encryption without keys is not refused',
    'engine/cache-guard.ts',
    '      this.parts.sealing.check(policy);\n',
    '',
    ['encryption', 'refuse a domain that encrypts without keys, and one that does not say whether'],
  ),
  breakingUnit(13)(
    'at rest: a readable job is taken',
    'engine/events/refresh-envelopes.ts',
    'return job && !isSealed && this.sealing.encrypts(job.domain) ? undefined : job;',
    'return job;',
    ['engine/refresh-envelopes', 'is one of a domain that encrypts, readable'],
  ),
  breaks('at rest: loads are not projected', 'engine/projecting.ts', ': project(value);', ': value;', [
    '13-projection',
    'no reader gets: neither who loads, nor who waits, nor who comes later [memory]',
  ]),
  breaks(
    'at rest: what a load gives beside notModified is handed out',
    'engine/projecting.ts',
    'context.previous!.value :',
    'value :',
    ['13-projection', 'is not missed when nothing has changed: what is kept is not projected again [memory]'],
  ),
  breaks(
    'at rest: writes are not projected',
    'engine/writes.ts',
    'return { value: project ? project(value) : value };',
    'return { value };',
    ['13-projection', 'is left out by refresh, put and write-through as well [memory]'],
  ),
];
