import type { Codec, CodecSet } from '../../core/codec.js';
import { binaryCodec } from './binary.js';
import { plainJson, richJson } from './json.js';

const BINARY_ID = 3;

/** The library's codecs; the binary one is loaded when it is first needed. */
export class Codecs implements CodecSet {
  private binary: { readonly plain: Codec; readonly rich: Codec } | undefined;

  constructor(private readonly makeBinary: (kind: 'plain' | 'rich') => Codec = binaryCodec) {}

  forEncoding(codec: 'json' | 'binary' | Codec, kind: 'plain' | 'rich'): Codec {
    if (codec === 'json') return kind === 'plain' ? plainJson : richJson;
    return codec === 'binary' ? this.loadBinary()[kind] : codec;
  }

  byId(id: number, own: Codec | undefined): Codec | undefined {
    switch (id) {
      case plainJson.id:
        return plainJson;
      case richJson.id:
        return richJson;
      case BINARY_ID:
        return this.loadBinary().rich;
      default:
        return own?.id === id ? own : undefined;
    }
  }

  private loadBinary(): { readonly plain: Codec; readonly rich: Codec } {
    return (this.binary ??= { plain: this.makeBinary('plain'), rich: this.makeBinary('rich') });
  }
}
