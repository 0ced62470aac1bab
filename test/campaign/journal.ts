import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import type { Operation } from '../history/history.js';
import type { Line } from './protocol.js';

/** A history on disk: each line is written before the next thing happens, so a process that is killed loses none. */
export class Journal {
  private readonly file: number;
  private begun = 0;

  constructor(path: string) {
    this.file = openSync(path, 'a');
  }

  readonly record = (operation: Operation): void => this.write(operation);

  /** Notes what begins; to be called with the returned function when it is over and recorded. */
  begin(operation: Operation): () => void {
    const begun = ++this.begun;
    this.write({ begun, operation });
    return () => this.write({ done: begun });
  }

  private write(line: Line): void {
    writeSync(this.file, `${JSON.stringify(line)}\n`);
  }
}

/** Reads what has been added to a journal since the last time. */
export class JournalReader {
  private readonly file: number;
  private readonly chunk = Buffer.alloc(256 * 1_024);
  private rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.file = openSync(path, 'a+');
  }

  *lines(): Generator<Line> {
    for (;;) {
      const length = readSync(this.file, this.chunk);
      if (length === 0) return;
      this.rest = Buffer.concat([this.rest, this.chunk.subarray(0, length)]);
      const end = this.rest.lastIndexOf(10);
      if (end === -1) continue;
      const text = this.rest.toString('utf8', 0, end);
      this.rest = Buffer.from(this.rest.subarray(end + 1));
      for (const line of text.split('\n')) yield JSON.parse(line) as Line;
    }
  }

  close(): void {
    closeSync(this.file);
  }
}
