/** The validated options; a symbol, because interfaces leave nothing to inject by. */
export const SETTINGS = Symbol('CacheGuard:settings');
export const CLOCK = Symbol('CacheGuard:clock');
export const IDS = Symbol('CacheGuard:ids');
export const STORE = Symbol('CacheGuard:store');
/** What guarded objects are bound to. Depends on nothing, so that any provider can be a host, also one that the options need. */
export const ENGINE_SLOT = Symbol('CacheGuard:engine');
/** The policies of one `forFeature`. */
export const FEATURE_POLICIES = Symbol('CacheGuard:feature-policies');
export const FEATURE_REGISTRATION = Symbol('CacheGuard:feature-registration');
