/** `lowrank serve`: a page on this machine that shows a store. It reads and never writes. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Catalog } from "./catalog.ts";
import { metricsOf, placed, wireComparison, wireDetail } from "./detail.ts";
import { HEADERS, refusalOf } from "./gate.ts";
import { INDEX } from "./index-html.ts";
import { pageFile } from "./page-files.ts";
import { MOST_STREAMS, Streams } from "./stream.ts";
import { STYLE } from "./style.ts";
import type { WireRun, WireRuns } from "./page/wire.ts";

export interface ServedPage {
  readonly url: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Starts it on 127.0.0.1. @param port 0 takes one that is free @throws what Node says where the port is taken */
export async function servePage(out: string, port: number): Promise<ServedPage> {
  const catalog = new Catalog(out);
  const streams = new Streams(catalog);
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      if (!response.headersSent) say(response, 500, { error: "internal: the answer failed" });
      else response.destroy();
      process.stderr.write(`lowrank serve: ${request.url}: ${String(error)}\n`);
    });
  });

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const refusal = refusalOf(request, (server.address() as AddressInfo).port);
    if (refusal !== undefined) return say(response, refusal.status, { error: refusal.message });
    const [path, query] = request.url!.split("?") as [string, string | undefined];
    if (path === "/") return send(response, "text/html", INDEX);
    if (path === "/style.css") return send(response, "text/css", STYLE);
    if (path.startsWith("/page/")) {
      const script = await pageFile(path.slice("/page/".length));
      return script === undefined ? missing(response) : send(response, "text/javascript", script);
    }
    if (path === "/api/stream") {
      if (streams.count >= MOST_STREAMS) return say(response, 503, { error: "too many pages are open" });
      response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream" });
      return streams.add(response, (query?.split("=")[1] ?? "").split(",").slice(0, 2).filter(Boolean));
    }
    const [, api, what, ...keys] = path.split("/");
    if (api !== "api") return missing(response);
    const runs = catalog.list();
    if (what === "runs" && keys.length === 0)
      return say(response, 200, { runs, metrics: metricsOf(runs) } satisfies WireRuns);
    const found = keys.map((key) => [runs.find((run) => run.key === key), catalog.find(key)] as const);
    if (found.some(([run]) => run === undefined)) return missing(response);
    const [a, b] = found.map(([run, place]) => [run!, placed(place!)] as const);
    if (what === "run" && a !== undefined && b === undefined) return say(response, 200, wireDetail(...a));
    if (what === "compare" && a !== undefined && b !== undefined && found.length === 2)
      return say(response, 200, await wireComparison([a[0], b[0]] as [WireRun, WireRun], [a[1], b[1]]));
    missing(response);
  };

  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    url: `http://127.0.0.1:${bound}/`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        streams.close();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function missing(response: ServerResponse): void {
  say(response, 404, { error: "there is no such thing here" });
}

function say(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, {
    ...HEADERS,
    "content-type": "application/json; charset=utf-8",
    ...(status === 405 ? { allow: "GET" } : {}),
  });
  response.end(JSON.stringify(value));
}

function send(response: ServerResponse, type: string, text: string): void {
  response.writeHead(200, { ...HEADERS, "content-type": `${type}; charset=utf-8` });
  response.end(text);
}
