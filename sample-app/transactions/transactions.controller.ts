import { BadRequestException, Body, Controller, Get, Param, Post } from '@nestjs/common';
import { Cached } from 'nestjs-cache-guard';
import { Checked, fieldsOf, id, idPipe, text, wholeNumber } from '../http/checked.js';
import { transactionsOf, TransactionsService, type PostTransaction, type Transaction } from './transactions.service.js';

const MOST_CENTS = 100_000_000;

const postTransaction = (given: unknown): PostTransaction => {
  const { account, description, cents } = fieldsOf(given, ['account', 'description', 'cents']);
  const amount = wholeNumber('cents', cents, -MOST_CENTS, MOST_CENTS);
  if (amount === 0) throw new BadRequestException('cents must not be 0.');
  return { account: id('account', account), description: text('description', description, 60), cents: amount };
};

@Controller('api/customers/:customer/transactions')
export class TransactionsController {
  constructor(private readonly transactions: TransactionsService) {}

  @Get()
  @Cached(transactionsOf)
  latest(@Param('customer', idPipe('customer')) customer: string): Promise<Transaction[]> {
    return this.transactions.latest(customer);
  }

  @Post()
  post(
    @Param('customer', idPipe('customer')) customer: string,
    @Body(new Checked(postTransaction)) command: PostTransaction,
  ): Promise<Transaction> {
    return this.transactions.post(customer, command);
  }
}
