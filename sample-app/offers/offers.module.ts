import { Module } from '@nestjs/common';
import { OffersController } from './offers.controller.js';
import { OffersService } from './offers.service.js';

/** Its policy and rules, `offersPolicy` and `offersRules`, are registered in the root module. */
@Module({ controllers: [OffersController], providers: [OffersService], exports: [OffersService] })
export class OffersModule {}
