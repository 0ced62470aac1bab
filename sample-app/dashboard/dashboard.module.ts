import { Module } from '@nestjs/common';
import { CacheGuardModule } from 'nestjs-cache-guard';
import { BalancesModule } from '../balances/balances.module.js';
import { CardsModule } from '../cards/cards.module.js';
import { OffersModule } from '../offers/offers.module.js';
import { ProfileModule } from '../profile/profile.module.js';
import { TransactionsModule } from '../transactions/transactions.module.js';
import { CrowdService } from './crowd.service.js';
import { DashboardController } from './dashboard.controller.js';
import { dashboardPolicy } from './dashboard.policy.js';
import { StatusService } from './status.service.js';
import { SummaryService } from './summary.service.js';

@Module({
  imports: [
    CacheGuardModule.forFeature(dashboardPolicy),
    OffersModule,
    ProfileModule,
    TransactionsModule,
    BalancesModule,
    CardsModule,
  ],
  controllers: [DashboardController],
  providers: [SummaryService, CrowdService, StatusService],
})
export class DashboardModule {}
