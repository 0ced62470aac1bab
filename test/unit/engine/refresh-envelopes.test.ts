import { describe, expect, it } from 'vitest';
import { Codecs } from '../../../lib/adapters/codecs/index.js';
import { DerivedKey } from '../../../lib/core/keys.js';
import type { RefreshJob } from '../../../lib/core/refresh-job.js';
import { Sealing, type Sealer } from '../../../lib/core/sealing.js';
import { RefreshEnvelopes } from '../../../lib/engine/events/refresh-envelopes.js';

const codecs = new Codecs();
const inverted = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => 255 - byte));
/** Whoever reads it sees nothing, and what was moved is noticed. */
const inverting: Sealer = {
  seal: (plain, bound) => Buffer.concat([inverted(plain), bound]),
  open(sealed, bound) {
    if (!sealed.subarray(-bound.length).equals(bound)) throw new Error('from another place');
    return inverted(sealed.subarray(0, -bound.length));
  },
};
const plain = new RefreshEnvelopes(codecs, new Sealing(undefined, () => false));
const sealed = new RefreshEnvelopes(codecs, new Sealing(inverting, (domain) => domain === 'offers'));
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
const handedOver = (job: RefreshJob, envelopes = plain): RefreshJob | undefined =>
  envelopes.take(JSON.parse(JSON.stringify(envelopes.put(job, '1'))));

describe('a job that is handed over', () => {
  it.each([
    JOB,
    { ...JOB, name: undefined, args: undefined, sinceMs: undefined },
    { ...JOB, args: [] },
    { ...JOB, args: [null, 0, '', undefined, 12n, new Date(5), new Map([[1, { a: undefined }]]), NaN] },
    { ...JOB, keyInput: { segment: 'gold', at: new Date(5) } },
  ])('comes as it was (%#)', (job) => {
    expect(handedOver(job)).toEqual(job);
    expect(handedOver(job, sealed)).toEqual(job);
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
  const envelope = plain.put(JOB, '1');
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
    expect(plain.take(given)).toBeUndefined();
    expect(sealed.take(given)).toBeUndefined();
  });

  it('is one of a domain that encrypts, readable', () => {
    expect(sealed.take(envelope)).toBeUndefined();
    expect(sealed.take(plain.put({ ...JOB, domain: 'rates' }, '1'))).toMatchObject({ domain: 'rates' });
  });

  it('is what cannot be opened', () => {
    const job = sealed.put(JOB, '1');
    expect(JSON.stringify(job)).not.toContain('gold');
    expect(plain.take(job)).toBeUndefined();
    expect(sealed.take({ ...job, data: { sealed: Buffer.from('forged').toString('base64') } })).toBeUndefined();
  });

  it('is not what comes for a domain that only others know', () => {
    const other = new RefreshEnvelopes(codecs, new Sealing(inverting, () => false));
    expect(other.take(sealed.put(JOB, '1'))).toEqual(JOB);
  });
});
