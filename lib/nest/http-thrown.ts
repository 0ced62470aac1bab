import {
  ConflictException,
  ForbiddenException,
  GoneException,
  HttpException,
  MethodNotAllowedException,
  NotAcceptableException,
  NotFoundException,
  PreconditionFailedException,
  UnauthorizedException,
  UnprocessableEntityException,
  type Type,
} from '@nestjs/common';
import { plainThrown, type ThrownCodec } from '../core/thrown.js';

/** Exceptions that can stand for an absence, most of all "not found". */
const ABSENCES: readonly Type<HttpException>[] = [
  NotFoundException,
  GoneException,
  ForbiddenException,
  UnauthorizedException,
  ConflictException,
  MethodNotAllowedException,
  NotAcceptableException,
  PreconditionFailedException,
  UnprocessableEntityException,
];
const KNOWN: ReadonlyMap<string, Type<HttpException>> = new Map(ABSENCES.map((type) => [type.name, type]));

/**
 * Keeps status, body and message of an `HttpException`, and Nest's own class of it, so that exception filters see the same on
 * a hit as on a miss. An exception class of the application comes back as the class of Nest that it extends.
 */
export const httpThrown: ThrownCodec = {
  dehydrate(error) {
    if (!(error instanceof HttpException)) return plainThrown.dehydrate(error);
    const { name, message } = error;
    return { http: typeNameOf(error), status: error.getStatus(), response: error.getResponse(), name, message };
  },
  hydrate(plain) {
    const { http, status, response, name, message } = plain as Partial<Record<string, unknown>>;
    if (typeof http !== 'string' || typeof status !== 'number') return plainThrown.hydrate(plain);
    const known = KNOWN.get(http);
    const error = known ? new known() : new HttpException('', status);
    return Object.assign(error, { response, status, name, message });
  },
};

function typeNameOf(error: HttpException): string {
  for (const [name, type] of KNOWN) if (error instanceof type) return name;
  return HttpException.name;
}
