import { breakingOn, breakingUnit } from './breaking.mjs';

const TIMERS = 'engine/awaited-timers';
const FOLLOWING = 'engine/events/following';
const HEALTH = 'engine/events/source-health';
const RETRIES = 'stream-retries';
const STREAM = 'adapters/redis/stream';

const inBulk = 'are tried in bulk: what works is done before any that fails is put aside, however many are before it';

/**
 * Of who waits and for how long: timers of callers, sources that hang, events that fail in bulk.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const waitMutations = [
  breakingUnit(5)(
    'a process ends though somebody waits',
    'adapters/system.ts',
    'if (!awaited) timer.unref();',
    'timer.unref();',
    [TIMERS, 'keeps the process alive only if a caller waits for it'],
  ),
  breakingUnit(15)(
    'a timer that nobody waits for keeps the process alive',
    'adapters/system.ts',
    'if (!awaited) timer.unref();',
    '',
    [TIMERS, 'keeps the process alive only if a caller waits for it'],
  ),
  breakingUnit(12)(
    'nobody waits for the end of a window',
    'engine/events/bursts.ts',
    'this.cancelTimer = this.clock.schedule(ms, end, awaited);',
    'this.cancelTimer = this.clock.schedule(ms, end);',
    ['engine/events/bursts', 'is waited for by who wants something at its end, and else by nobody'],
  ),
  breakingUnit(15)(
    'an empty window keeps the process alive',
    'engine/events/bursts.ts',
    'const awaited = this.waiting > 0;',
    'const awaited = true;',
    ['engine/events/bursts', 'is waited for by who wants something at its end, and else by nobody'],
  ),
  breakingUnit(15)(
    'a source holds up start and end for as long as it likes',
    'engine/events/following.ts',
    'return await Promise.race([work.then(() => true), patience]);',
    'return await work.then(() => true);',
    [FOLLOWING, 'that does not close holds up the end for 10 s, and is told'],
  ),
  breakingUnit(15)(
    'a source that opens after the end stays open',
    'engine/events/following.ts',
    'if (this.closed) await this.source.close();',
    '',
    [FOLLOWING, 'that opens after it was closed is closed once more'],
  ),
  breakingOn('e2e', 15)(
    'a start that fails leaves open what is open by then',
    'nest/cache-guard.lifecycle.ts',
    'await this.onApplicationShutdown();',
    '',
    ['failed-boot', 'an application that cannot be started leaves nothing open: by a rule that names no source'],
  ),
  breakingUnit(12)(
    'a gap that could not be dealt with stays open for ever',
    'engine/events/source-health.ts',
    'if (--gap.open === 0) await this.closeGap(name, gap);',
    'if (!gap.failed && --gap.open === 0) await this.closeGap(name, gap);',
    [HEALTH, 'that could not be dealt with, and that nobody tells again, does not stay for ever'],
  ),
  breakingUnit(12)(
    'a gap is over though nothing was invalidated',
    'engine/events/source-health.ts',
    'gap.failed = true;',
    '',
    [HEALTH, 'that could not be dealt with is not over, until who tells again has more luck'],
  ),
  breakingOn('redis', 12)(
    'events that failed are looked at page by page',
    `${STREAM}/stream-tender.ts`,
    "} while (this.from !== '-' && clock.monotonic() < this.surveyAtMs);",
    '} while (false);',
    [RETRIES, inBulk],
  ),
  breakingOn('redis', 12)(
    'room for events that failed is noticed late',
    `${STREAM}/redis-stream-source.ts`,
    'if (tender.waitsForRoom) this.tending?.wake();',
    '',
    [RETRIES, 'go on as soon as there is room'],
  ),
  breakingOn('redis', 12)(
    'an event that failed takes the room of a batch',
    `${STREAM}/stream-tender.ts`,
    'void work.deal(together, apart);',
    'void work.deal(together);\n    for (const entry of apart) void work.deal([entry]);',
    [RETRIES, 'and hang hold up no other'],
  ),
  breakingOn('redis', 15)(
    'a source that is being closed takes more',
    `${STREAM}/redis-stream-source.ts`,
    'work?.stop();',
    '',
    [RETRIES, 'are taken no more once the source is being closed'],
  ),
];
