import { describe, expect, it } from 'vitest';
import { Codecs } from '../../../lib/adapters/codecs/index.js';
import { DerivedKey } from '../../../lib/core/keys.js';
import type { RefreshJob } from '../../../lib/core/refresh-job.js';
import { envelopeOf, jobIn } from '../../../lib/engine/events/refresh-envelopes.js';

const codecs = new Codecs();
const JOB: RefreshJob = {
  domain: 'offers',
  name: 'best',
  key: 'offers:best::s.gold',
  keyInput: 'gold',
  args: ['gold'],
  sinceMs: 1_700_000_000_000.5,
};

class Money {
  constructor(readonly cents: number) {}
}

/** As it comes out of a stream. */
const handedOver = (job: RefreshJob): RefreshJob | undefined =>
  jobIn(JSON.parse(JSON.stringify(envelopeOf(job, '1', codecs))), codecs);

describe('a job that is handed over', () => {
  it.each([
    JOB,
    { ...JOB, name: undefined, args: undefined, sinceMs: undefined },
    { ...JOB, args: [] },
    { ...JOB, args: [null, 0, '', undefined, 12n, new Date(5), new Map([[1, { a: undefined }]]), NaN] },
    { ...JOB, keyInput: { segment: 'gold', at: new Date(5) } },
  ])('comes as it was (%#)', (job) => {
    expect(handedOver(job)).toEqual(job);
  });

  it('keeps a key that was derived from arguments', () => {
    const keyInput = handedOver({ ...JOB, keyInput: new DerivedKey(['gold', undefined, 1n]) })!.keyInput;
    expect(DerivedKey.is(keyInput) && keyInput.args).toEqual(['gold', undefined, 1n]);
  });

  it('leaves behind what cannot be written, and says all else', () => {
    const money = new Money(5);
    expect(handedOver({ ...JOB, args: [money] })).toEqual({ ...JOB, args: undefined });
    expect(handedOver({ ...JOB, keyInput: money })).toEqual({ ...JOB, keyInput: undefined });
  });
});

describe('what is no job', () => {
  const envelope = envelopeOf(JOB, '1', codecs);
  const text = (job: unknown) => ({ ...envelope, data: { job } });
  const written = (job: object) => text(codecs.forEncoding('json', 'rich').encode(job).toString());

  it.each([
    undefined,
    'a text',
    {},
    { ...envelope, type: 'offer.changed' },
    { ...envelope, data: undefined },
    { ...envelope, data: 'a text' },
    text(undefined),
    text(7),
    text('{'),
    text('[{"a":7}]'),
    written([]),
    written({ ...JOB, keyInput: {}, domain: 7 }),
    written({ ...JOB, keyInput: {}, key: undefined }),
    written({ ...JOB, keyInput: {}, name: 7 }),
    written({ ...JOB, keyInput: {}, args: 'gold' }),
    written({ ...JOB, keyInput: {}, sinceMs: '7' }),
  ])('is not taken for one (%#)', (given) => {
    expect(jobIn(given, codecs)).toBeUndefined();
  });
});
