import { Body, Controller, Put } from '@nestjs/common';
import { Checked, fieldsOf, oneOf } from '../http/checked.js';
import { Source, SOURCE_MODES, type SourceMode } from './source.js';

const mode = (given: unknown): SourceMode => oneOf('mode', fieldsOf(given, ['mode']).mode, SOURCE_MODES);

/** The page's switch: makes the source of this instance slow or failing. */
@Controller('api/source')
export class SourceController {
  constructor(private readonly source: Source) {}

  @Put()
  set(@Body(new Checked(mode)) chosen: SourceMode): { mode: SourceMode } {
    this.source.mode = chosen;
    return { mode: chosen };
  }
}
