import { Body, Controller, Get, Param, Post } from '@nestjs/common';
import { Cached } from 'nestjs-cache-guard';
import { Checked, fieldsOf, id, idPipe, text } from '../http/checked.js';
import { offersOf, OffersService, type Offer, type PublishOffer } from './offers.service.js';

const publishOffer = (given: unknown): PublishOffer => {
  const { segment, title } = fieldsOf(given, ['segment', 'title']);
  return { segment: id('segment', segment), title: text('title', title, 80) };
};

@Controller('api/offers')
export class OffersController {
  constructor(private readonly offers: OffersService) {}

  /** The same for everybody, also for a browser that sends the cookies of another application on this host. */
  @Get(':segment')
  @Cached({ ...offersOf, http: { credentials: 'share' } })
  bySegment(@Param('segment', idPipe('segment')) segment: string): Promise<Offer[]> {
    return this.offers.bySegment(segment);
  }

  @Post()
  publish(@Body(new Checked(publishOffer)) command: PublishOffer): Promise<Offer> {
    return this.offers.publish(command);
  }
}
