import { Module } from '@nestjs/common';
import { CacheGuardModule } from 'nestjs-cache-guard';
import { TransactionsController } from './transactions.controller.js';
import { transactionsPolicy } from './transactions.policy.js';
import { TransactionsService } from './transactions.service.js';

@Module({
  imports: [CacheGuardModule.forFeature(transactionsPolicy)],
  controllers: [TransactionsController],
  providers: [TransactionsService],
  exports: [TransactionsService],
})
export class TransactionsModule {}
