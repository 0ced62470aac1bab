import type { INestApplication, LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import type { SampleConfig } from './config.js';
import type { Database } from './source/database.js';

export interface AppParts {
  readonly logger: LoggerService | false;
  /** One to use instead of what the configuration names; not closed by the application. */
  readonly database?: Database | undefined;
}

/** An instance of the dashboard that does not listen yet. */
export function createApp(config: SampleConfig, { logger, database }: AppParts): Promise<INestApplication> {
  return NestFactory.create(AppModule.register(config, database), {
    abortOnError: false,
    // Open pages go on asking on the connections that they have: without this, the application would never end.
    forceCloseConnections: true,
    logger,
  });
}
