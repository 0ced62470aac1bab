import { AsyncResource } from 'node:async_hooks';
import {
  Inject,
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { tap, type Observable } from 'rxjs';
import { OptionsChecker } from '../core/field-checker.js';
import { CacheGuard } from '../engine/cache-guard.js';

/** How a session's token comes with a request, and goes back with its response. */
export interface SessionCarriage<Request = unknown, Response = unknown> {
  /** `undefined`: there is none yet. */
  read(request: Request): unknown;
  /** Called when the token has changed, before the response is sent. */
  write(response: Response, token: string): void;
}

const check: OptionsChecker = new OptionsChecker('CacheGuardSession.carriedBy');

const HEADER = 'x-cache-guard-session';

/**
 * Runs each request as a session: what it writes, its own later reads, and those of later requests that bring the token along, are not
 * shown by a stale policy. Token in the header `x-cache-guard-session`, both ways; `CacheGuardSession.carriedBy` for another way.
 *
 * Register it globally (`APP_INTERCEPTOR`), or with `@UseInterceptors`. Outside of HTTP it opens a session for each message.
 */
@Injectable()
export class CacheGuardSession implements NestInterceptor {
  /** The name of a header, or a way of the application's own. */
  protected readonly way: string | SessionCarriage = HEADER;

  constructor(
    @Inject(CacheGuard) private readonly guard: CacheGuard,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  /** The same with another header, or a carriage of yours, such as a cookie. @throws CacheGuardConfigError (`CG_INVALID_OPTIONS`) */
  static carriedBy<Request, Response>(carriage: string | SessionCarriage<Request, Response>): Type<CacheGuardSession> {
    if (typeof carriage === 'string') check.name('carriage', carriage);
    else checkCarriage(carriage);
    const carried = typeof carriage === 'string' ? carriage.toLowerCase() : carriage;

    @Injectable()
    class CarriedSession extends CacheGuardSession {
      protected override readonly way: string | SessionCarriage = carried;
    }
    return CarriedSession;
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return this.guard.session(() => next.handle());
    const http = context.switchToHttp();
    const given = this.read(http.getRequest<object>());
    const run = () => ({
      handled: next.handle(),
      // The handler's end is heard outside of the session.
      token: AsyncResource.bind(() => this.guard.sessionToken()),
    });
    const { handled, token } = this.guard.session(run, { token: given });
    const carry = (): void => {
      const now = token();
      if (now !== undefined && now !== given) this.write(http.getResponse<object>(), now);
    };
    return handled.pipe(tap({ complete: carry, error: carry }));
  }

  private read(request: object): unknown {
    if (typeof this.way !== 'string') return this.way.read(request);
    return (request as { headers?: Record<string, unknown> }).headers?.[this.way];
  }

  private write(response: object, token: string): void {
    const { httpAdapter } = this.host;
    // A handler that has answered by itself, or a stream, has sent its headers.
    if (httpAdapter.isHeadersSent(response)) return;
    if (typeof this.way === 'string') httpAdapter.setHeader(response, this.way, token);
    else this.way.write(response, token);
  }
}

function checkCarriage(carriage: SessionCarriage<never, never>): void {
  check.able('carriage', carriage, [], 'give the name of a header, or an object with read and write');
  check.needFns('carriage', carriage, { read: '(request)', write: '(response, token)' });
}
