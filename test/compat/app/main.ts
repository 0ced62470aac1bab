import { baseOptions, main } from './offers.js';

const redisUrl = process.env['REDIS_URL'];

void main(redisUrl === undefined ? baseOptions() : { ...baseOptions(), redisUrl });
