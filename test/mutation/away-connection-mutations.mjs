import { breaking, breakingUnit } from './breaking.mjs';

const BREAKER = '09-breaker';
const LINK = 'node-link';
const unit = breakingUnit(9);

/**
 * Of promise 9: when a server is left alone, found again, and taken for another one.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const connectionMutations = [
  breaking(9)(
    'away: commands go on to a server that does not answer beats',
    'adapters/redis/node-link.ts',
    'if (this.missing || !this.breaker.closed) return Promise.reject(this.refuse());',
    '',
    [BREAKER, 'once Redis is known to hang, reads send it nothing and cost nothing; beats alone try it [redis]'],
  ),
  unit(
    'away: an outage of which no beat has told is not over when it is over',
    'adapters/redis/node-link.ts',
    'if (this.missing) this.lost(true);',
    '',
    [LINK, 'sends nothing after a beat was not answered, until one is'],
  ),
  unit(
    'away: commands probe an open breaker',
    'adapters/redis/node-link.ts',
    'if (this.missing || !this.breaker.closed)',
    'if (this.missing)',
    [LINK, 'leaves it to beats to probe an open breaker'],
  ),
  unit('away: connections that died without a word are kept', 'adapters/redis/node-link.ts', '    this.renew();', '', [
    LINK,
    'gives up a connection whose beats are not answered, but not more often than every two seconds',
  ]),
  unit(
    'away: a client that looks for its server is made to end',
    'adapters/redis/renewal.ts',
    "closed || client.status === 'connecting'",
    'closed',
    ['renewal', 'leaves a client alone that looks for its server: it would end for good'],
  ),
  unit(
    'away: a client that has ended stays so',
    'adapters/redis/renewal.ts',
    "if (client.status === 'end')",
    'if (false)',
    ['renewal', 'begins again what has ended for good'],
  ),
  unit(
    'away: every reply that tells of an error is an outage',
    'adapters/redis/budget.ts',
    "if (!(cause instanceof Error) || cause.name !== 'ReplyError') return true;",
    'if (cause) return true;',
    [LINK, 'a reply that tells of the command only is no outage: OOM command not allowed'],
  ),
  unit(
    'away: the identity of a server is asked for only once',
    'adapters/redis/node-link.ts',
    'this.epoch = undefined;\n    this.identified = undefined;',
    '',
    [LINK, 'asks who answers on every connection anew, and trusts no answer before'],
  ),
  unit(
    'away: an identity that was asked for over a lost connection counts',
    'adapters/redis/node-link.ts',
    "if (connection !== this.connection) throw unavailable('the connection was lost');",
    '',
    [LINK, 'an identity that was asked for over a lost connection does not count'],
  ),
];
