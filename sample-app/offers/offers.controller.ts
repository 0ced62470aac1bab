import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import { CacheGuard } from 'nestjs-cache-guard';
import { Checked, fieldsOf, id, idPipe, text } from '../http/checked.js';
import { fragment, type Fragment } from '../http/fragment.js';
import { OffersService, type Offer, type PublishOffer } from './offers.service.js';

const publishOffer = (given: unknown): PublishOffer => {
  const { segment, title } = fieldsOf(given, ['segment', 'title']);
  return { segment: id('segment', segment), title: text('title', title, 80) };
};

@Controller('api/offers')
export class OffersController {
  constructor(
    private readonly offers: OffersService,
    private readonly cache: CacheGuard,
  ) {}

  @Get(':segment')
  bySegment(@Param('segment', idPipe('segment')) segment: string): Promise<Fragment<Offer[]>> {
    return fragment(this.cache, 'offers', () => this.offers.bySegment(segment));
  }

  @Post()
  publish(@Body(new Checked(publishOffer)) command: PublishOffer): Promise<Offer> {
    return this.offers.publish(command);
  }
}
