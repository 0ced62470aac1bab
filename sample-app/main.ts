import 'reflect-metadata';
import { ConsoleLogger, Logger } from '@nestjs/common';
import { readConfig } from './config.js';
import { createApp } from './create-app.js';
import { StatusService } from './dashboard/status.service.js';

/** How Nest puts an application together is of no interest here. */
const FRAMEWORK = new Set(['NestFactory', 'InstanceLoader', 'RoutesResolver', 'RouterExplorer', 'NestApplication']);

class BankLogger extends ConsoleLogger {
  override log(message: unknown, ...rest: unknown[]): void {
    if (!FRAMEWORK.has(String(rest.at(-1)))) super.log(message, ...rest);
  }
}

async function start(): Promise<void> {
  const config = readConfig(process.env);
  const logger = new Logger('Bank');
  logger.log(config.databaseUrl ? 'Connecting with Postgres …' : 'Starting the embedded Postgres, a few seconds …');
  const app = await createApp(config, { logger: new BankLogger() });
  app.enableShutdownHooks();
  await app.listen(config.port);
  const { instance, store, database } = app.get(StatusService, { strict: false }).now();
  logger.log(`${instance}: cache in ${store}, data in ${database}`);
  logger.log(`The dashboard is at ${(await app.getUrl()).replace('[::1]', 'localhost')}`);
}

try {
  await start();
} catch (error) {
  const { code, message } = error as { code?: unknown; message?: unknown };
  const text = code === 'EADDRINUSE' ? 'The port is taken; choose another, e.g. PORT=3001 npm start' : String(message);
  new Logger('Bank').fatal(`The dashboard could not start. ${text}`);
  process.exit(1);
}
