/** Turns a thrown absence into plain data and back, so that a cached "not found" is thrown again by a hit. */
export interface ThrownCodec {
  /** `undefined`: this throw cannot be kept; it reaches its callers and nothing is cached. */
  dehydrate(error: unknown): Readonly<Record<string, unknown>> | undefined;
  hydrate(plain: unknown): unknown;
}

/** Keeps name, message and code of an `Error`; what else it carries is lost, so it is for absences without payload. */
export const plainThrown: ThrownCodec = {
  dehydrate(error) {
    if (!(error instanceof Error)) return undefined;
    return { name: error.name, message: error.message, code: (error as { code?: unknown }).code };
  },
  hydrate(plain) {
    const { name, message, code } = plain as { name: string; message: string; code?: unknown };
    return Object.assign(new Error(message), { name }, code === undefined ? undefined : { code });
  },
};
