import { Module } from '@nestjs/common';
import { CacheGuardModule } from 'nestjs-cache-guard';
import { OffersController } from './offers.controller.js';
import { offersPolicy } from './offers.policy.js';
import { OffersService } from './offers.service.js';

@Module({
  imports: [CacheGuardModule.forFeature(offersPolicy)],
  controllers: [OffersController],
  providers: [OffersService],
  exports: [OffersService],
})
export class OffersModule {}
