/** A web server in the process, with everything that can go wrong on the way: what it does to a request is a function of the test. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface WebServer {
  readonly url: string;
  readonly asked: Asked[];
  /** Answers the request itself and says so by true. */
  before: (asked: Asked, response: ServerResponse) => boolean | void | Promise<boolean | void>;
  close(): Promise<void>;
}

export async function serve(
  answer: (asked: Asked, response: ServerResponse) => void | Promise<void>,
): Promise<WebServer> {
  const asked: Asked[] = [];
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const one = {
      method: request.method!,
      path: decodeURIComponent(request.url!),
      range: request.headers.range,
      authorization: request.headers.authorization,
    };
    asked.push(one);
    if ((await server.before(one, response)) !== true) await answer(one, response);
  };
  const listener = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const server: WebServer = {
    url: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    asked,
    before: () => {},
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        listener.closeAllConnections();
      }),
  };
  return server;
}

export const etagOf = (bytes: Uint8Array): string => `"${createHash("md5").update(bytes).digest("hex")}"`;

/** A file as nginx gives it: ranges, an etag, 416. */
export function sendFile(
  { method, range }: Asked,
  response: ServerResponse,
  bytes: Uint8Array,
  { etag = etagOf(bytes), ranges = true, headers = {} as Record<string, string> } = {},
): void {
  const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(range ?? "") ?? [];
  const common = { ...(etag === "" ? {} : { etag }), "content-type": "application/octet-stream", ...headers };
  if (from === undefined || !ranges) {
    response.writeHead(200, { ...common, "content-length": bytes.length });
    response.end(method === "HEAD" ? undefined : bytes);
    return;
  }
  if (Number(from) >= bytes.length) {
    response.writeHead(416, { ...common, "content-range": `bytes */${bytes.length}` });
    response.end();
    return;
  }
  const part = bytes.subarray(Number(from), to === "" ? bytes.length : Math.min(bytes.length, Number(to) + 1));
  response.writeHead(206, {
    ...common,
    "content-range": `bytes ${from}-${Number(from) + part.length - 1}/${bytes.length}`,
    "content-length": part.length,
  });
  response.end(method === "HEAD" ? undefined : part);
}

/** Promises `bytes` and ends after `after` of them. */
export function cutAfter(
  response: ServerResponse,
  bytes: Uint8Array,
  after: number,
  headers: Record<string, string> = {},
  status = 200,
): void {
  response.writeHead(status, { ...headers, "content-length": bytes.length });
  response.write(bytes.subarray(0, after), () => setTimeout(() => response.destroy(), 20));
}
