import 'reflect-metadata';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
import { readConfig } from './config.js';
import { StatusService } from './dashboard/status.service.js';

async function start(): Promise<void> {
  const config = readConfig(process.env);
  const app = await NestFactory.create(AppModule.register(config), { abortOnError: false });
  app.enableShutdownHooks();
  await app.listen(config.port);
  const { instance, store, database } = app.get(StatusService, { strict: false }).now();
  const logger = new Logger('Bank');
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
