import type { ServerResponse } from 'node:http';
import { Body, Controller, Get, Header, HttpCode, Param, Post, Res } from '@nestjs/common';
import { Cached, CacheGuardMetrics } from 'nestjs-cache-guard';
import { Checked, fieldsOf, id, idPipe, oneOf, wholeNumber } from '../http/checked.js';
import { CONTENT_SECURITY_POLICY, PAGE } from '../page/page.js';
import { CROWD_DOMAINS, CrowdService, type Crowd, type CrowdResult } from './crowd.service.js';
import { StatusService, type DomainPromise, type Status } from './status.service.js';
import { summaryOf, SummaryService, type Summary } from './summary.service.js';

const crowd = (given: unknown): Crowd => {
  const { domain, key, readers = 200 } = fieldsOf(given, ['domain', 'key', 'readers']);
  return {
    domain: oneOf('domain', domain, CROWD_DOMAINS),
    key: id('key', key),
    readers: wholeNumber('readers', readers, 1, 1_000),
  };
};

@Controller()
export class DashboardController {
  constructor(
    private readonly summaries: SummaryService,
    private readonly crowds: CrowdService,
    private readonly status: StatusService,
    private readonly metrics: CacheGuardMetrics,
  ) {}

  @Get()
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', CONTENT_SECURITY_POLICY)
  page(): string {
    return PAGE;
  }

  @Get('api/customers/:customer/summary')
  @Cached(summaryOf)
  summary(@Param('customer', idPipe('customer')) customer: string): Promise<Summary> {
    return this.summaries.of(customer);
  }

  @Get('api/promises')
  promises(): DomainPromise[] {
    return this.status.promises();
  }

  @Get('api/status')
  now(): Status {
    return this.status.now();
  }

  @Post('api/crowd')
  @HttpCode(200)
  crowd(@Body(new Checked(crowd)) wanted: Crowd): Promise<CrowdResult> {
    return this.crowds.release(wanted);
  }

  @Get('metrics')
  async prometheus(@Res({ passthrough: true }) response: Pick<ServerResponse, 'setHeader'>): Promise<string> {
    const { contentType, body } = await this.metrics.prometheus();
    response.setHeader('content-type', contentType);
    return body;
  }
}
