/**
 * Who may ask the page's server, and how. It listens on this machine alone, but pages of other sites run in the same browser: they are told apart by `Host` (a
 * name that somebody points at 127.0.0.1 is not ours: DNS rebinding), `Origin` and `Sec-Fetch-Site`.
 */
import type { IncomingHttpHeaders } from "node:http";

export interface Refusal {
  readonly status: 400 | 403 | 405;
  readonly message: string;
}

export interface Asked {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** All that our page asks for. What is encoded, goes upwards or names a host is not, so nothing is decoded. */
const PATH = /^\/(?:[A-Za-z0-9_-]+\/)*(?:[A-Za-z0-9_-]+(?:\.(?:js|ts|css))?)?(?:\?[a-z]+=[A-Za-z0-9,]*)?$/;
const LONGEST = 256;

/** Undefined where it may be answered. @param port that the server listens on */
export function refusalOf({ method, url = "", headers }: Asked, port: number): Refusal | undefined {
  const own = [`127.0.0.1:${port}`, `localhost:${port}`];
  if (headers.host === undefined || !own.includes(headers.host.toLowerCase()))
    return { status: 403, message: `this server answers to ${own.join(" and ")} only` };
  const { origin } = headers;
  if (origin !== undefined && !own.some((host) => origin === `http://${host}`))
    return { status: 403, message: "other pages may not read this" };
  // a link from elsewhere opens the page, whose content says nothing yet; all else is for the page alone
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none" && url !== "/")
    return { status: 403, message: "other pages may not read this" };
  if (method !== "GET") return { status: 405, message: "only GET is answered" };
  if (url.length > LONGEST || !PATH.test(url)) return { status: 400, message: "no such address" };
  return undefined;
}

/** With every answer. Scripts and styles come from here alone, nothing is drawn inside another page, and no type is guessed. */
export const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
  "cache-control": "no-store",
};
