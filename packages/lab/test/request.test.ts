/** One request: what comes of it, also while something else holds the event loop. */
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { request } from "../src/sinks/http/request.ts";

let server: Server;
afterEach(() => {
  server.closeAllConnections();
  server.close();
});
async function serve(listener: RequestListener): Promise<URL> {
  server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/x?y=1`);
}
const signal = new AbortController().signal;
const IMPATIENT = { turns: 30, ms: 5 } as const;

/** Computes, and leaves the event loop a turn now and then, as a training does. */
async function compute(turns: number, ms: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) {
    for (const started = performance.now(); performance.now() - started < ms;);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a request", () => {
  it("brings what is sent, and back what is answered", async () => {
    const url = await serve((asked, response) => {
      let body = "";
      asked.setEncoding("utf8").on("data", (text: string) => (body += text));
      asked.on("end", () => {
        const { method, url: path, headers } = asked;
        response.writeHead(429, { "retry-after": "7" }).end(JSON.stringify([method, path, headers["x"], body]));
      });
    });
    const reply = await request(url, { method: "PUT", headers: { x: "1" }, body: "é", signal });
    expect(reply).toEqual({ status: 429, retryAfter: 7, body: '["PUT","/x?y=1","1","é"]' });
  });

  it("is not late where a computation held the event loop for longer than anybody would wait", async () => {
    const url = await serve((_, response) => response.end("ok"));
    const started = performance.now();
    const reply = request(url, { method: "GET", signal }, IMPATIENT);
    await compute(12, 60);
    expect(performance.now() - started).toBeGreaterThan(2 * IMPATIENT.turns * IMPATIENT.ms);
    expect(await reply).toMatchObject({ status: 200, body: "ok" });
  });

  it("that nobody answers is late after so many turns", async () => {
    const url = await serve(() => {});
    await expect(request(url, { method: "GET", signal }, IMPATIENT)).rejects.toThrow("no answer in time");
  });

  it("is over at once when it is given up", async () => {
    const url = await serve(() => {});
    const controller = new AbortController();
    const reply = request(url, { method: "GET", signal: controller.signal });
    controller.abort();
    await expect(reply).rejects.toThrow("given up");
    await expect(request(url, { method: "GET", signal: controller.signal })).rejects.toThrow("given up");
  });

  it("that is cut off, or answered without end, has no answer", async () => {
    const url = await serve((asked, response) => {
      if (asked.method === "GET") response.writeHead(200, { "content-length": "9" }).write("1");
      else response.write("x".repeat(3 << 20));
      if (asked.method === "GET") setTimeout(() => asked.socket.destroy(), 1);
    });
    await expect(request(url, { method: "GET", signal })).rejects.toThrow(/ECONNRESET|aborted/);
    await expect(request(url, { method: "POST", signal })).rejects.toThrow("more than 1 MiB");
  });
});
