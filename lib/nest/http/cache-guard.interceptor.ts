import { Inject, Injectable, type CallHandler, type ExecutionContext, type NestInterceptor } from '@nestjs/common';
import { tap, type Observable } from 'rxjs';
import { threwBehind } from './answer-hooks.js';
import { RequestScopes } from './request-scope.js';

/** Says in which handler's call we are, for everything that it calls. Registered by the module, for every handler of the application. */
@Injectable()
export class CacheGuardInterceptor implements NestInterceptor {
  constructor(@Inject(RequestScopes) private readonly scopes: RequestScopes) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    // What is behind `handle` runs in the async context of this call, whenever the result is subscribed to.
    const given = this.scopes.run({ context }, () => next.handle());
    if (context.getType() !== 'http') return given;
    return given.pipe(tap({ error: () => threwBehind(context.switchToHttp().getResponse<object>()) }));
  }
}
