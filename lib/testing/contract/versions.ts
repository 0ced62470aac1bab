import assert from 'node:assert/strict';
import { MAX_VERSION } from '../../core/version.js';
import { decode, NOTHING, Scenario, type ContractCase } from './scenario.js';

async function fill(s: Scenario, version: bigint | undefined, versionWindowMs = 1000 * s.unit): Promise<string> {
  const grant = await s.shared();
  return s.outcome(grant, s.entry(grant, { version }), { versionWindowMs });
}

const BORDERS = [
  0n,
  1n,
  255n,
  256n,
  2n ** 32n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 63n - 1n,
  2n ** 63n,
  MAX_VERSION - 1n,
  MAX_VERSION,
];

export const versionCases: readonly ContractCase[] = [
  {
    name: 'version: an older one is refused, an equal or newer one is not, exactly at every border',
    async run(harness) {
      const s = await Scenario.on(harness);
      for (const [index, version] of BORDERS.entries()) {
        assert.equal(await fill(s, version), 'committed');
        assert.equal(await fill(s, version), 'committed');
        for (const older of BORDERS.slice(0, index)) assert.equal(await fill(s, older), 'fenced-version');
        assert.equal(decode(await s.kept()).version, version);
      }
    },
  },
  {
    name: 'version: it binds fills, puts and extensions',
    async run(harness) {
      const s = await Scenario.on(harness);
      await fill(s, 7n);
      const { id } = decode(await s.kept());
      for (const kind of ['fill', 'put', 'extend'] as const) {
        const grant = await s.shared();
        assert.equal(
          await s.outcome(grant, s.entry(grant, { id, version: 6n }), { kind, seenId: id }),
          'fenced-version',
        );
        assert.equal(decode(await s.kept()).version, 7n);
      }
    },
  },
  {
    name: 'version: one that is refused consumes its token, ends its lease, and voids nobody',
    async run(harness) {
      const s = await Scenario.on(harness);
      await fill(s, 7n);
      const [holder, beside] = [await s.granted(), await s.shared()];
      const older = s.entry(holder, { version: 6n });
      assert.equal(await s.outcome(holder, older, { kind: 'put' }), 'fenced-version');
      assert.equal(await s.outcome(holder, older, { kind: 'put' }), 'fenced-version', 'sent again');
      assert.equal(await s.store.renew(s.key, holder.token, s.unit), false);
      await s.granted();
      assert.equal(await s.outcome(beside, s.entry(beside, { version: 8n })), 'committed');
    },
  },
  {
    name: 'version: it is remembered over removal, within the window',
    async run(harness) {
      const s = await Scenario.on(harness);
      for (const mode of ['remove', 'purge', 'expire'] as const) {
        await fill(s, 7n);
        await s.store.invalidate(s.key, mode);
        assert.equal(await fill(s, 6n), 'fenced-version', mode);
      }
      const clearing = await s.shared();
      await s.commit(clearing, NOTHING, { kind: 'clear' });
      assert.equal(await fill(s, 6n), 'fenced-version', 'clear');
      assert.equal(await fill(s, 7n), 'committed');
    },
  },
  {
    name: 'version: it is remembered after the hard expiry for the window, and then no more',
    async run(harness) {
      const s = await Scenario.on(harness);
      const grant = await s.granted();
      const bytes = s.entry(grant, { version: 7n, hardMs: Math.floor(grant.nowMs) + s.unit });
      await s.commit(grant, bytes, { versionWindowMs: 4 * s.unit });
      await s.pass(2);
      assert.equal(await s.bytes(), undefined);
      assert.equal(await fill(s, 6n), 'fenced-version');
      await s.pass(5);
      assert.equal(await fill(s, 6n), 'committed');
    },
  },
  {
    name: 'version: a value without one is not bound, and does not make the older ones welcome',
    async run(harness) {
      const s = await Scenario.on(harness);
      await fill(s, 7n);
      assert.equal(await fill(s, undefined), 'committed');
      assert.equal(decode(await s.kept()).version, undefined);
      assert.equal(await fill(s, 6n), 'fenced-version');
      assert.equal(await fill(s, 7n), 'committed');
    },
  },
];
