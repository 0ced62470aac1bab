import { ConfigurableModuleBuilder, type ConfigurableModuleAsyncOptions } from '@nestjs/common';
import type { CacheGuardModuleOptions } from './options.js';

const definition = new ConfigurableModuleBuilder<CacheGuardModuleOptions>({ moduleName: 'CacheGuard' })
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createCacheGuardOptions')
  .build();

export const ConfigurableCacheGuardModule = definition.ConfigurableModuleClass;

/** The options as the user gave them. */
export const CACHE_GUARD_OPTIONS = definition.MODULE_OPTIONS_TOKEN;

/** What `useClass` and `useExisting` of `forRootAsync` must implement. */
export interface CacheGuardOptionsFactory {
  createCacheGuardOptions(): CacheGuardModuleOptions | Promise<CacheGuardModuleOptions>;
}

/** What `CacheGuardModule.forRootAsync` takes: `useFactory` (with `inject`), `useClass` or `useExisting`, and `imports`. */
export type CacheGuardModuleAsyncOptions = ConfigurableModuleAsyncOptions<
  CacheGuardModuleOptions,
  'createCacheGuardOptions'
>;
