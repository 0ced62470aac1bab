import { Catch, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { CacheGuardOverloadError, CacheGuardTimeoutError } from 'nestjs-cache-guard';
import { SourceUnavailableError } from '../source/source.js';

/** Where no promise allows an old value, a source that fails is a 503, and the page says so. */
@Catch(SourceUnavailableError, CacheGuardTimeoutError, CacheGuardOverloadError)
export class UnavailableFilter implements ExceptionFilter<Error> {
  private readonly logger = new Logger('Bank');

  constructor(private readonly adapters: HttpAdapterHost) {}

  catch(error: Error, host: ArgumentsHost): void {
    this.logger.debug(error.message);
    const body = { statusCode: 503, error: 'Service Unavailable', message: error.message };
    this.adapters.httpAdapter.reply(host.switchToHttp().getResponse(), body, 503);
  }
}
