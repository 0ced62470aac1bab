import { Module } from '@nestjs/common';
import { CacheGuardModule } from 'nestjs-cache-guard';
import { BalancesController } from './balances.controller.js';
import { balancesPolicy } from './balances.policy.js';
import { BalancesService } from './balances.service.js';

@Module({
  imports: [CacheGuardModule.forFeature(balancesPolicy)],
  controllers: [BalancesController],
  providers: [BalancesService],
  exports: [BalancesService],
})
export class BalancesModule {}
