/** Runs one statement with `$1`, `$2` … */
export type Query = <Row extends object>(sql: string, params?: readonly unknown[]) => Promise<Row[]>;

/** The SQL source of the bank. An abstract class, so that it is its own injection token. */
export abstract class Database {
  /** What it is and where, for people. */
  abstract readonly label: string;

  /** One statement with `$1`, `$2` … */
  abstract query<Row extends object>(sql: string, params?: readonly unknown[]): Promise<Row[]>;

  /** Commits when `work` resolves, rolls back when it rejects; `work` asks by the function that it is given, and by nothing else. */
  abstract transaction<T>(work: (query: Query) => Promise<T>): Promise<T>;

  /** A script of several statements, as one transaction. */
  abstract run(script: string): Promise<void>;

  abstract close(): Promise<void>;
}
