import { Module } from '@nestjs/common';
import { CardsController } from './cards.controller.js';
import { CardsService } from './cards.service.js';

/** Its policy and rules, `cardsPolicy` and `cardsRules`, are registered in the root module. */
@Module({ controllers: [CardsController], providers: [CardsService], exports: [CardsService] })
export class CardsModule {}
