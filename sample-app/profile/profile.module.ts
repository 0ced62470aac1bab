import { Module } from '@nestjs/common';
import { CacheGuardModule } from 'nestjs-cache-guard';
import { ProfileController } from './profile.controller.js';
import { profilePolicy } from './profile.policy.js';
import { ProfileService } from './profile.service.js';

@Module({
  imports: [CacheGuardModule.forFeature(profilePolicy)],
  controllers: [ProfileController],
  providers: [ProfileService],
  exports: [ProfileService],
})
export class ProfileModule {}
