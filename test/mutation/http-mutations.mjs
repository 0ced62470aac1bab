import { breakingOn, breakingUnit } from './breaking.mjs';

const BYPASS = 'http-bypass';
const ORDER = 'http-order';
const FACE = 'http-face';
const DOWN = 'http-downstream';
const STAND_IN = 'http-stand-in';
const MOUNTS = 'http-mounts';
const route = breakingOn('e2e', 13);
const rule = breakingUnit(13);

/**
 * Of routes: whose answer is kept for whom, and what is said about it.
 *
 * @type {import('./breaking.mjs').Mutation[]}
 */
export const httpMutations = [
  route(
    'route: who sends Authorization shares',
    'nest/http/route-read.ts',
    "if (headers['authorization'] !== undefined && !keyedHeaders.has('authorization')) return true;",
    '',
    [BYPASS, 'Authorization goes to the handler, and is not kept [Express]'],
  ),
  route(
    'route: who sends a cookie shares',
    'nest/http/route-read.ts',
    'return [...cookies.keys()].some((name) => !keyedCookies.has(name));',
    'return false;',
    [BYPASS, 'a cookie beside goes to the handler, and is not kept [Fastify]'],
  ),
  route(
    'route: every method is cached',
    'nest/http/route-read.ts',
    "if (!settings.methods.has(request.method)) return 'method';",
    '',
    [BYPASS, 'another method goes to the handler, and is not kept [Express]'],
  ),
  route(
    'route: a body is overlooked',
    'nest/http/route-read.ts',
    "if (isRead && hasBody(request)) return 'body';",
    '',
    [BYPASS, 'a body in pieces goes to the handler, and is not kept [Fastify]'],
  ),
  route(
    'route: a cookie that a handler sets is lost on hits',
    'nest/http/route-read.ts',
    "if (cookies > was.cookies) return 'set-cookie';",
    '',
    [BYPASS, 'Set-Cookie goes to the handler, and is not kept [Express]'],
  ),
  route(
    'route: a handler that takes the response is cached',
    'nest/http/route-plan.ts',
    'bypass ??= ALWAYS.get(kind) ?? ',
    'bypass ??= ',
    [BYPASS, '@Res({ passthrough }) goes to the handler, and is not kept [Express]'],
  ),
  route(
    'route: an explicit key that gives nothing is the key of no arguments',
    'nest/http/route-key-of.ts',
    'if (key !== undefined && key !== null) return key;',
    'return key;',
    [BYPASS, 'no key goes to the handler, and is not kept [Express]'],
  ),
  route(
    'route: path parameters that the handler does not take are no part of the key',
    'nest/http/route-key-of.ts',
    'if (intact.length === 0) hidden[source] = without(given[source], plan.taken[source]);',
    '',
    [ORDER, 'a path parameter that the handler does not take makes another key [Express]'],
  ),
  route(
    'route: the paths of one handler share',
    'nest/http/route-key-of.ts',
    'path: plan.severalPaths ? request.pattern : undefined',
    'path: undefined',
    [ORDER, 'one of two paths makes another key [Fastify]'],
  ),
  route(
    'route: the modules that mount one controller share',
    'nest/http/route-plan.ts',
    'mounts.isMultiple(type) || ',
    '',
    [MOUNTS, 'that two modules mount is kept for each path [Express]'],
  ),
  route(
    'route: default versions share',
    'nest/http/route-plan.ts',
    'mounts.isMultiple(type) || mounts.hasVersions(type, handler)',
    'mounts.isMultiple(type)',
    [MOUNTS, 'with several default versions in the path is kept for each [Fastify]'],
  ),
  route(
    'route: versions in a header share',
    'nest/http/route-plan.ts',
    'sign && !explicit && mounts.hasVersions(type, handler) ? keyedBy(sign, said) : said',
    'said',
    [MOUNTS, 'whose version is in a header names it in Vary, and keeps each [Express]'],
  ),
  route(
    'route: the header of versions is not in Vary',
    'nest/http/route-plan.ts',
    'if (sign?.header !== undefined) variedHeaders.add(sign.header.toLowerCase());',
    '',
    [MOUNTS, 'whose version is in Accept names it in Vary, and keeps each [Express]'],
  ),
  route(
    'route: a tenant’s answer is for everybody downstream',
    'nest/http/route-read.ts',
    "scope === 'public' && !partition && ",
    "scope === 'public' && ",
    [
      FACE,
      '/tenant: Cache-Control is private, max-age=600, stale-while-revalidate=3000, stale-if-error=85800 [Express]',
    ],
  ),
  route(
    'route: an answer with a cookie may be kept downstream',
    'nest/http/route-answer.ts',
    'if (this.face.cookies() > 0) return PRIVATE;',
    '',
    [FACE, 'with a cookie is nobody else’s, whoever sets it [Express]'],
  ),
  route(
    'route: what the application says is overridden',
    'nest/http/route-answer.ts',
    "control !== undefined && face.get('cache-control') === undefined;",
    'control !== undefined;',
    [FACE, 'overrides nothing that the application says, and comes behind it [Express]'],
  ),
  route(
    'route: Express goes by its own rules for If-None-Match',
    'nest/http/answer-hooks.ts',
    "Object.defineProperty(response.req, 'fresh', { value: false, configurable: true });",
    '{}',
    [FACE, 'answers 304 to who has it, and 200 to who does not, GET and HEAD [Express]'],
  ),
  route(
    'route: past the cache, a balance may be kept downstream',
    'nest/http/route-read.ts',
    '!shared || isSecret(policy) || ',
    '!shared || ',
    [DOWN, 'what is critical is nobody else’s past the cache either [Express]'],
  ),
  route(
    'route: past the cache, an account may be kept downstream',
    'nest/http/route-read.ts',
    '!shared || isSecret(policy) || ',
    'isSecret(policy) || ',
    [DOWN, 'what is private is nobody else’s past the cache either [Fastify]'],
  ),
  route(
    'route: an answer with a session’s cookie may be kept downstream',
    'nest/http/late-cookies.ts',
    'if (isCookie(name)) withdraw();',
    '',
    [DOWN, 'a cookie that a session sets last of all takes back what was said [Express]'],
  ),
  route('route: a cookie that is written later is lost on hits', 'nest/http/response-face.ts', 'this.pending++;', '', [
    DOWN,
    'a cookie of the handler’s own is seen, whoever writes it [Fastify]',
  ]),
  route(
    'route: what a handler takes beside its own key is no matter downstream',
    'nest/http/route-plan.ts',
    'if (why) unseen = true;',
    '',
    [DOWN, 'what a handler takes besides its key is in Vary, or keeps the answer private [Express]'],
  ),
  route(
    'route: declared parameters are no part of an explicit key',
    'nest/http/route-key-of.ts',
    'explicitKey(call, definition), query, ',
    'explicitKey(call, definition), ',
    [DOWN, 'declared parameters are part of a key of your own [Express]'],
  ),
  route(
    'route: a refresh sets its status on the old answer',
    'nest/http/route-read.ts',
    'if (isBehind(directives)) await this.answer.gone(SENDING_MS);',
    '',
    [DOWN, 'a refresh behind an old answer does nothing to it, and keeps no status of its own [Express]'],
  ),
  route(
    'route: another status is lost on hits',
    'nest/http/route-read.ts',
    "return status === was.status ? undefined : 'status';",
    'return undefined;',
    [DOWN, 'an answer whose handler sets another status is not kept, though it may have that [Fastify]'],
  ),
  route(
    'route: what stands in for an error may be kept downstream',
    'nest/http/cache-guard.interceptor.ts',
    'error: () => threwBehind',
    'error: () => ((_: object) => {})',
    [DOWN, 'what stands in for an error behind the handler is not kept downstream [Express]'],
  ),
  route(
    'route: behind a function in its place a handler is a method',
    'nest/http/route-of.ts',
    'return definitionsOf(method).some((definition) => those.includes(definition));',
    'return those.length < 0;',
    [STAND_IN, 'with its metadata, shares nothing that the handler would not share [Express]'],
  ),
  route(
    'route: behind a function that nobody knows a handler is a method',
    'nest/http/route-of.ts',
    'return isStranger(handler, self) ? { context, known: false } : undefined;',
    'return isStranger(handler, self) ? undefined : undefined;',
    [STAND_IN, 'that shows nothing, shares nothing that the handler would not share [Fastify]'],
  ),
  route(
    'route: an overridden route writes the headers of the one that overrides it',
    'nest/http/answer-hooks.ts',
    'if (answers.get(raw)?.running) return;',
    '',
    [
      STAND_IN,
      'an overridden route keeps its own rules, and leaves the headers to the one that overrides it [Express]',
    ],
  ),
  rule('route: an undeclared parameter is overlooked', 'core/http/query.ts', '!declared.has(name) || ', '', [
    'core/http-keys',
    'another parameter is refused',
  ]),
  rule('route: a parameter may be there twice', 'core/http/query.ts', ' || names.has(name)', '', [
    'core/http-keys',
    'a parser that keeps one of two is not trusted',
  ]),
  rule(
    'route: a critical answer may be kept downstream',
    'core/http/cache-control.ts',
    "policy.freshness === 'critical' || ",
    '',
    ['core/http-headers', 'critical'],
  ),
];
