import { Body, Controller, Get, Param, Put } from '@nestjs/common';
import { CacheGuard } from 'nestjs-cache-guard';
import { Checked, fieldsOf, idPipe, oneOf, truth } from '../http/checked.js';
import { fragment, type Fragment } from '../http/fragment.js';
import { CardsService, type Card } from './cards.service.js';

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
  constructor(
    private readonly cards: CardsService,
    private readonly cache: CacheGuard,
  ) {}

  @Get()
  of(@Param('customer', idPipe('customer')) customer: string): Promise<Fragment<Card[]>> {
    return fragment(this.cache, 'card-controls', () => this.cards.of(customer));
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
