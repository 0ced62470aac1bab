import type { ExecutionContext } from '@nestjs/common';
import { OwnContext } from '../../engine/own-context.js';

/** In which handler's call we are: a request, a message or a resolver. */
export interface RequestScope {
  readonly context: ExecutionContext;
}

/**
 * Who a call is made for. A function of the handler's context, or of an AsyncLocalStorage of the application's own where there is no
 * context. `undefined`: nobody can tell, and what is private is not cached.
 */
export type PrincipalFunction = (context?: ExecutionContext) => string | undefined;

/** One per application: the requests of another application in the same process are not seen here. */
export class RequestScopes {
  private readonly scopes = new OwnContext<RequestScope>();

  /** `principal` is asked at each read and not once per request, because a handler may act for somebody else after a log-in. */
  constructor(private readonly ask: PrincipalFunction | undefined) {}

  get current(): RequestScope | undefined {
    return this.scopes.current;
  }

  run<T>(scope: RequestScope, run: () => T): T {
    return this.scopes.run(scope, run);
  }

  principal(): string | undefined {
    return this.ask?.(this.current?.context);
  }
}
