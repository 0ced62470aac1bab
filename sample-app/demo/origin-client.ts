import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Agent, request } from 'node:http';

/** What the origin holds; the version grows with every write. */
export interface Item {
  readonly id: string;
  readonly version: number;
  readonly title: string;
  readonly tags: readonly string[];
}

@Injectable()
export class OriginClient implements OnApplicationShutdown {
  private readonly agent = new Agent({ keepAlive: true, maxFreeSockets: Infinity });

  constructor(private readonly port: number) {}

  load(id: string): Promise<Item> {
    return this.ask('GET', id);
  }

  write(id: string): Promise<Item> {
    return this.ask('POST', id);
  }

  onApplicationShutdown(): void {
    this.agent.destroy();
  }

  private ask(method: string, id: string): Promise<Item> {
    const { agent, port } = this;
    return new Promise((resolve, reject) => {
      const path = `/${encodeURIComponent(id)}`;
      const asked = request({ agent, host: '127.0.0.1', port, method, path }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => (text += chunk));
        response.on('error', reject);
        response.on('end', () => {
          if (response.statusCode === 200) resolve(JSON.parse(text) as Item);
          else reject(new Error(`The origin answered ${response.statusCode}.`));
        });
      });
      asked.on('error', reject);
      asked.end();
    });
  }
}
