import { BadRequestException, Body, Controller, Get, Param, Patch } from '@nestjs/common';
import { Cached } from 'nestjs-cache-guard';
import { Checked, fieldsOf, idPipe, text } from '../http/checked.js';
import { profileOf, ProfileService, type Profile, type ProfileChange } from './profile.service.js';

const profileChange = (given: unknown): ProfileChange => {
  const { email, city } = fieldsOf(given, ['email', 'city']);
  if (email === undefined && city === undefined) throw new BadRequestException('Send email, city or both.');
  return {
    ...(email === undefined ? {} : { email: emailAddress(email) }),
    ...(city === undefined ? {} : { city: text('city', city, 40) }),
  };
};

function emailAddress(given: unknown): string {
  const email = text('email', given, 80);
  if (!/^[^\s@]+@[^\s@]+$/.test(email)) throw new BadRequestException('email must look like name@example.com.');
  return email;
}

@Controller('api/customers/:customer/profile')
export class ProfileController {
  constructor(private readonly profiles: ProfileService) {}

  @Get()
  @Cached(profileOf)
  of(@Param('customer', idPipe('customer')) customer: string): Promise<Profile> {
    return this.profiles.of(customer);
  }

  @Patch()
  change(
    @Param('customer', idPipe('customer')) customer: string,
    @Body(new Checked(profileChange)) change: ProfileChange,
  ): Promise<Profile> {
    return this.profiles.change(customer, change);
  }
}
