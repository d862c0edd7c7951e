/** What changes, as server-sent events: lines of the table of runs, and rows of the tables of those that are looked at. */
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import type { Catalog } from "./catalog.ts";
import { TableTail } from "./tail.ts";
import { LIVE_FILES, type LiveFile, type WireChanges, type WireRows, type WireRun } from "./page/wire.ts";

/** A second is live for who watches steps that take a tenth of one or ten. */
const LOOK_MS = 1000;
/** Proxies and browsers give up a connection on which nothing comes. */
const PING_MS = 15_000;
/** A page that does not read for so long has been put to sleep; it connects again when it wakes up. */
const MOST_WAITING = 2 ** 23;
export const MOST_STREAMS = 32;

interface Client {
  readonly response: ServerResponse;
  readonly runs: readonly string[];
  readonly tails: Map<string, Record<LiveFile, TableTail>>;
  /** What the client has of the table of runs; undefined before it was told. */
  known: ReadonlyMap<string, string> | undefined;
}

export class Streams {
  readonly #catalog: Catalog;
  readonly #clients = new Set<Client>();
  #timer: NodeJS.Timeout | undefined;
  #pinged = Date.now();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  get count(): number {
    return this.#clients.size;
  }

  /** Answers with a stream, which lasts until the other side closes it. @param runs keys of runs whose tables are wanted */
  add(response: ServerResponse, runs: readonly string[]): void {
    const client: Client = { response, runs, tails: new Map(), known: undefined };
    this.#clients.add(client);
    response.on("close", () => {
      this.#clients.delete(client);
      if (this.#clients.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    });
    response.write("retry: 2000\n\n");
    this.#look([client]);
    this.#timer ??= setInterval(() => this.#look([...this.#clients]), LOOK_MS);
  }

  close(): void {
    for (const { response } of this.#clients) response.destroy();
  }

  #look(clients: readonly Client[]): void {
    const runs = this.#catalog.list();
    const lines = new Map(runs.map((run) => [run.key, JSON.stringify(run)]));
    const ping = Date.now() - this.#pinged > PING_MS;
    if (ping) this.#pinged = Date.now();
    for (const client of clients) {
      if (client.response.writableLength > MOST_WAITING) {
        client.response.destroy();
        continue;
      }
      this.#tell(client, runs, lines);
      for (const key of client.runs) this.#follow(client, key);
      if (ping) client.response.write(": still here\n\n");
    }
  }

  #tell(client: Client, runs: readonly WireRun[], lines: ReadonlyMap<string, string>): void {
    const { known } = client;
    const changed = runs.filter(({ key }) => known?.get(key) !== lines.get(key));
    const removed = [...(known?.keys() ?? [])].filter((key) => !lines.has(key));
    client.known = lines;
    if (known === undefined || changed.length > 0 || removed.length > 0)
      send(client, "runs", { changed, removed, all: known === undefined } satisfies WireChanges);
  }

  #follow(client: Client, key: string): void {
    const place = this.#catalog.find(key);
    if (place === undefined) return;
    const made = (): Record<LiveFile, TableTail> =>
      Object.fromEntries(LIVE_FILES.map((file) => [file, new TableTail(file)])) as Record<LiveFile, TableTail>;
    const tails = client.tails.get(key) ?? made();
    client.tails.set(key, tails);
    for (const file of LIVE_FILES) {
      const rows = tails[file].next(join(place.store, place.folder));
      if (rows !== undefined)
        send(client, "rows", { key, file, ...rows } satisfies WireRows & { key: string; file: LiveFile });
    }
  }
}

function send({ response }: Client, event: string, data: unknown): void {
  response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
