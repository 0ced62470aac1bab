/** The SQL source of the bank. An abstract class, so that it is its own injection token. */
export abstract class Database {
  /** What it is and where, for people. */
  abstract readonly label: string;

  /** One statement with `$1`, `$2` … */
  abstract query<Row extends object>(sql: string, params?: readonly unknown[]): Promise<Row[]>;

  /** A script of several statements, as one transaction. */
  abstract run(script: string): Promise<void>;

  abstract close(): Promise<void>;
}
