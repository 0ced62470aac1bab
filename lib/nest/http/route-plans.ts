import { Inject, Injectable } from '@nestjs/common';
import type { AnyMethod } from '../decorator-types.js';
import type { CachedDefinition } from '../metadata.js';
import { RouteMounts } from './route-mounts.js';
import { planOf, type RoutePlan } from './route-plan.js';

/** The plans of an application's routes: in another one the same class may be reached otherwise. */
@Injectable()
export class RoutePlans {
  private readonly plans = new WeakMap<CachedDefinition, WeakMap<object, RoutePlan>>();

  constructor(@Inject(RouteMounts) private readonly mounts: RouteMounts) {}

  of(type: object, property: string | symbol, handler: AnyMethod, definition: CachedDefinition): RoutePlan {
    let ofTypes = this.plans.get(definition);
    if (!ofTypes) this.plans.set(definition, (ofTypes = new WeakMap()));
    let plan = ofTypes.get(type);
    if (!plan) ofTypes.set(type, (plan = planOf(type, property, handler, definition, this.mounts)));
    return plan;
  }
}
