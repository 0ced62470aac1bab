import type { CacheGuardModuleOptions } from 'nestjs-cache-guard';
import { baseOptions, main } from './offers.js';

const given = JSON.parse(process.env['APP_OPTIONS'] ?? '{}') as Partial<CacheGuardModuleOptions>;

void main({ ...baseOptions(), ...given });
