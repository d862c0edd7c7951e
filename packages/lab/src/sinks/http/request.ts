/**
 * One request, with a limit on how long it takes. Training holds the event loop for a step at a time, so that minutes may go by between two turns of it, in which
 * a server has long answered: what is counted is how often a timer got its turn, not seconds. For the same reason each request has its own
 * connection: one that was kept would have been closed by the server in between.
 */
import { request as plain, type ClientRequest } from "node:http";
import { request as secure } from "node:https";

export interface Reply {
  readonly status: number;
  readonly body: string;
  /** Seconds after which the server wants to be asked again. */
  readonly retryAfter: number | undefined;
}

export interface Sending {
  readonly method: "GET" | "POST" | "PUT" | "PATCH";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal: AbortSignal;
}

/** Turns of a timer without an answer: ten seconds where nothing holds the event loop. */
const LIMIT = { turns: 40, ms: 250 } as const;
/** Bytes of an answer that are read; the others say nothing that would be needed. */
const MOST_BYTES = 1 << 20;

/** Rejects where there is no answer: no connection, cut off, too late, or aborted. */
export function request(
  url: URL,
  { method, headers, body, signal }: Sending,
  limit: { readonly turns: number; readonly ms: number } = LIMIT,
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let sent: ClientRequest | undefined;
    let turns = 0;
    const timer = setInterval(() => {
      if (++turns >= limit.turns) end(new Error("no answer in time"));
    }, limit.ms);
    timer.unref();
    const abort = (): void => end(new Error("given up"));
    const end = (outcome: Error | Reply): void => {
      clearInterval(timer);
      signal.removeEventListener("abort", abort);
      if (outcome instanceof Error) {
        sent?.destroy();
        reject(outcome);
      } else resolve(outcome);
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort);
    const bytes = typeof body === "string" ? new TextEncoder().encode(body) : body;
    const length = bytes === undefined ? {} : { "content-length": String(bytes.length) };
    sent = (url.protocol === "https:" ? secure : plain)(url, {
      method,
      agent: false,
      headers: { ...headers, ...length, connection: "close" },
    });
    sent.on("error", (error) => end(new Error((error as NodeJS.ErrnoException).code ?? error.message)));
    sent.on("response", (response) => {
      const parts: Buffer[] = [];
      let read = 0;
      response.on("data", (part: Buffer) => {
        read += part.length;
        if (read > MOST_BYTES) end(new Error("an answer of more than 1 MiB"));
        else parts.push(part);
      });
      response.on("error", (error) => end(new Error((error as NodeJS.ErrnoException).code ?? error.message)));
      response.on("end", () => {
        const after = Number(response.headers["retry-after"]);
        end({
          status: response.statusCode!,
          body: Buffer.concat(parts).toString("utf8"),
          retryAfter: Number.isFinite(after) ? after : undefined,
        });
      });
    });
    sent.end(bytes);
  });
}
