import 'reflect-metadata';
import { Injectable } from '@nestjs/common';
import * as library from 'nestjs-cache-guard';
import { serve } from '../../support/worker-main.js';

@Injectable()
class Part {}

@Injectable()
class Whole {
  constructor(readonly part: Part) {}
}

serve({
  whoAmI: () => ({
    pid: process.pid,
    library: import.meta.resolve('nestjs-cache-guard'),
    exports: Object.keys(library),
    injected: (Reflect.getMetadata('design:paramtypes', Whole) as { name: string }[]).map(({ name }) => name),
  }),
  echo: (value: unknown) => value,
  fail: () => {
    throw Object.assign(new RangeError('out of range'), { code: 'E_RANGE' });
  },
});
