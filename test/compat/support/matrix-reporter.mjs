import { JsonReporter } from 'vitest/node';

/** Vitest's JSON report, in a file of the run's own: the file of the usual report is left alone. */
export default class MatrixReporter extends JsonReporter {
  constructor() {
    super({ outputFile: process.env.MATRIX_REPORT });
  }
}
