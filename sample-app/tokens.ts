export const SAMPLE_CONFIG = Symbol('SampleConfig');
