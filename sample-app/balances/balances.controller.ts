import { Controller, Get, Param } from '@nestjs/common';
import { Cached } from 'nestjs-cache-guard';
import { idPipe } from '../http/checked.js';
import { balancesOf, BalancesService, type Balance } from './balances.service.js';

@Controller('api/customers/:customer/balances')
export class BalancesController {
  constructor(private readonly balances: BalancesService) {}

  @Get()
  @Cached(balancesOf)
  of(@Param('customer', idPipe('customer')) customer: string): Promise<Balance[]> {
    return this.balances.of(customer);
  }
}
