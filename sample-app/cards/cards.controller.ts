import { Body, Controller, Get, Param, Put } from '@nestjs/common';
import { Cached } from 'nestjs-cache-guard';
import { Checked, fieldsOf, idPipe, oneOf, truth } from '../http/checked.js';
import { cardsOf, CardsService, type Card } from './cards.service.js';

interface SetBlocked {
  readonly blocked: boolean;
  readonly through: 'app' | 'back-office';
}

const setBlocked = (given: unknown): SetBlocked => {
  const { blocked, through = 'app' } = fieldsOf(given, ['blocked', 'through']);
  return { blocked: truth('blocked', blocked), through: oneOf('through', through, ['app', 'back-office']) };
};

@Controller('api/customers/:customer/cards')
export class CardsController {
  constructor(private readonly cards: CardsService) {}

  @Get()
  @Cached(cardsOf)
  of(@Param('customer', idPipe('customer')) customer: string): Promise<Card[]> {
    return this.cards.of(customer);
  }

  @Put(':card')
  setBlocked(
    @Param('customer', idPipe('customer')) customer: string,
    @Param('card', idPipe('card')) card: string,
    @Body(new Checked(setBlocked)) { blocked, through }: SetBlocked,
  ): Promise<Card> {
    return through === 'app'
      ? this.cards.setBlocked(customer, card, blocked)
      : this.cards.setBlockedInBackOffice(customer, card, blocked);
  }
}
