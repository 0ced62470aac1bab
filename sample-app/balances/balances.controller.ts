import { Controller, Get, Param } from '@nestjs/common';
import { CacheGuard } from 'nestjs-cache-guard';
import { idPipe } from '../http/checked.js';
import { fragment, type Fragment } from '../http/fragment.js';
import { BalancesService, type Balance } from './balances.service.js';

@Controller('api/customers/:customer/balances')
export class BalancesController {
  constructor(
    private readonly balances: BalancesService,
    private readonly cache: CacheGuard,
  ) {}

  @Get()
  of(@Param('customer', idPipe('customer')) customer: string): Promise<Fragment<Balance[]>> {
    return fragment(this.cache, 'balances', () => this.balances.of(customer));
  }
}
