import { Inject, Injectable, VersioningType, type ExecutionContext } from '@nestjs/common';
import { VERSION_METADATA } from '@nestjs/common/constants.js';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import type { AnyMethod } from '../decorator-types.js';

/**
 * How a request says which version it wants, where its path does not: by a header (its name in lower case), or as a function of the
 * application reads it.
 */
export type VersionSign =
  { readonly header: string } | { readonly header?: never; readonly read: (context: ExecutionContext) => unknown };

/**
 * Under what an application reaches its controllers, as far as their own metadata does not say it. Told from its modules and options, which
 * are the same in every process, and never from requests: keys must not depend on who came first.
 */
@Injectable()
export class RouteMounts {
  private counts: ReadonlyMap<unknown, number> | undefined;

  constructor(
    @Inject(ModulesContainer) private readonly modules: ModulesContainer,
    @Inject(ApplicationConfig) private readonly config: ApplicationConfig,
  ) {}

  /** Whether several modules have the controller: each may mount it under a path of its own, and has its own object of it. */
  isMultiple(type: object): boolean {
    this.counts ??= this.count();
    return (this.counts.get(type) ?? 0) > 1;
  }

  hasVersions(type: object, handler: AnyMethod): boolean {
    const versioning = this.config.getVersioning();
    const of = (target: object) => Reflect.getMetadata(VERSION_METADATA, target) as unknown;
    const versions = of(handler) ?? of(type) ?? versioning?.defaultVersion;
    return versioning !== undefined && Array.isArray(versions) && versions.length > 1;
  }

  /** `undefined`: the path says it, or there are no versions. */
  get versionSign(): VersionSign | undefined {
    const versioning = this.config.getVersioning();
    switch (versioning?.type) {
      case VersioningType.HEADER:
        return { header: versioning.header.toLowerCase() };
      case VersioningType.MEDIA_TYPE:
        return { header: 'accept' };
      case VersioningType.CUSTOM:
        return { read: (context) => versioning.extractor(asRouted(context)) };
      default:
        return undefined;
    }
  }

  private count(): Map<unknown, number> {
    const counts = new Map<unknown, number>();
    for (const { controllers } of this.modules.values())
      for (const { metatype } of controllers.values()) counts.set(metatype, (counts.get(metatype) ?? 0) + 1);
    return counts;
  }
}

/** The request as the router has it: that of Node under Fastify. */
function asRouted(context: ExecutionContext): unknown {
  const request = context.switchToHttp().getRequest<{ readonly raw?: object }>();
  return request.raw ?? request;
}
