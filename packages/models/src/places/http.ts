/** A folder on a web server as a store of files, read by ranges. What is read belongs to one state of each file, or is refused. */
import { decodeUtf8, FormatError, LowrankError, type Files, type RandomAccess } from "@lowrank/tensor";
import { checkOptions, fields, mapOf, optional, text, whole } from "@lowrank/tensor/check";
import { web, type WebRequest } from "./platform.ts";
import { ask, bodyOf, cut, lengthOf, patiently, TIMEOUT, type Answer } from "./request.ts";

export interface HttpOptions {
  /** Sent with every request; `authorization` goes to no other origin. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Silence after which a request is given up, in ms. Default 10,000. */
  readonly timeout?: number;
  /** Largest file, in bytes, that is read whole into memory where the server knows no ranges. Default 256 MiB. */
  readonly wholeFile?: number;
}

const OPTIONS = fields<HttpOptions>({
  headers: optional(mapOf(text)),
  timeout: optional(whole(1)),
  wholeFile: optional(whole(0)),
});

const WHOLE = 2 ** 28;
/** Bytes that a small read brings along: norms and biases lie beside each other, and each request costs a way there and back. */
const AHEAD = 2 ** 18;

/** What must stay the same between the ranges of a file. */
interface Pin {
  readonly size: number;
  readonly validator: string | undefined;
}

/**
 * Files below a URL. Whether a file is there is asked of the server; it need not list itself.
 * @throws LowrankError from its methods: FileError where a file is not to be had, FormatError where it changes between two ranges, NetworkError where the server cannot be reached
 */
export function http(url: string, options: HttpOptions = {}): Files {
  const { headers = {}, timeout = TIMEOUT, wholeFile = WHOLE } = checkOptions("http", OPTIONS, options);
  return new WebFolder(url, headers, timeout, wholeFile);
}

class WebFolder implements Files {
  readonly where: string;
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #timeout: number;
  readonly #wholeFile: number;
  readonly #pins = new Map<string, Pin>();
  /** Names that were answered by a web page. */
  readonly #pages = new Set<string>();

  constructor(url: string, headers: Readonly<Record<string, string>>, timeout: number, wholeFile: number) {
    const at = parseUrl(url);
    this.#url = at.href;
    // what may be a secret stays out of messages
    at.search = at.hash = at.username = at.password = "";
    this.where = at.href.replace(/\/$/, "");
    this.#headers = headers;
    this.#timeout = timeout;
    this.#wholeFile = wholeFile;
  }

  async exists(name: string): Promise<boolean> {
    const what = this.#called(name);
    return patiently(what, async () => {
      let answer = await this.#ask(name, { method: "HEAD" });
      // some servers know GET only
      if (answer.status === 405 || answer.status === 501)
        answer = await this.#ask(name, { headers: { range: "bytes=0-0" } });
      const there = answer.status === 416 || (await isThere(answer, what));
      if (isPage(answer)) this.#pages.add(name);
      await answer.discard();
      return there;
    });
  }

  /** Of files whose server gives a strong ETag: with that, the address and the length. */
  async fingerprint(name: string): Promise<string | undefined> {
    const what = this.#called(name);
    return patiently(what, async () => {
      const answer = await this.#ask(name, { method: "HEAD" });
      const [etag, length] = [answer.header("etag"), lengthOf(answer)];
      await answer.discard();
      const strong = answer.status === 200 && etag !== null && etag.startsWith('"');
      return strong ? `${what} ${etag} ${length ?? ""}` : undefined;
    });
  }

  instead(name: string): string | undefined {
    return this.#pages.has(name) ? `the server answers ${name} with ${PAGE}` : undefined;
  }

  async text(name: string): Promise<string> {
    const what = this.#called(name);
    return patiently(what, async () => {
      const answer = await this.#found(name, {});
      const bytes = await bodyOf(answer, WHOLE);
      if (bytes === "too long")
        throw new LowrankError(
          "FileError",
          `${what}: is longer than ${WHOLE} bytes, which no text file of a checkpoint is`,
        );
      return decodeUtf8(bytes, what);
    });
  }

  async open(name: string): Promise<RandomAccess> {
    const what = this.#called(name);
    const { size, begin } = await patiently(what, () => this.#begin(name));
    let ahead = { from: 0, bytes: begin };
    return {
      size,
      where: what,
      read: async (from, to) => {
        if (from === to) return new Uint8Array();
        if (from < ahead.from || to > ahead.from + ahead.bytes.length) {
          const upTo = to - from >= AHEAD ? to : Math.min(size, from + AHEAD);
          const bytes = await this.#range(name, from, Math.max(to, upTo));
          if (bytes.length >= 2 * AHEAD) return bytes.subarray(0, to - from);
          ahead = { from, bytes };
        }
        return ahead.bytes.subarray(from - ahead.from, to - ahead.from);
      },
    };
  }

  #called(name: string): string {
    return `${this.where}/${name}`;
  }

  #ask(name: string, init: WebRequest): Promise<Answer> {
    const at = parseUrl(this.#url);
    at.pathname = `${at.pathname.replace(/\/$/, "")}/${name.split("/").map(encodeURIComponent).join("/")}`;
    // lengths and ranges are those of the file and not of something compressed
    const headers = { "accept-encoding": "identity", ...this.#headers, ...init.headers };
    return ask(at.href, { ...init, headers }, this.#timeout);
  }

  async #found(name: string, init: WebRequest): Promise<Answer> {
    const answer = await this.#ask(name, init);
    if (answer.status === 416 || (await isThere(answer, this.#called(name)))) return answer;
    await answer.discard();
    throw new LowrankError(
      "FileError",
      `${this.#called(name)}: ${isPage(answer) ? `the server answers with ${PAGE}` : `there is no such file (${answer.status})`}`,
    );
  }

  /** The size of a file and its first bytes: all of them where the server knows no ranges. */
  async #begin(name: string): Promise<{ size: number; begin: Uint8Array }> {
    const what = this.#called(name);
    const answer = await this.#found(name, { headers: { range: `bytes=0-${AHEAD - 1}` } });
    const validator = validatorOf(answer);
    if (answer.status === 416) {
      // no byte 0: it is empty
      await answer.discard();
      this.#pin(name, { size: 0, validator });
      return { size: 0, begin: new Uint8Array() };
    }
    if (answer.status !== 206) return this.#whole(name, answer);
    const size = rangeOf(answer)?.size ?? (await this.#announced(name));
    this.#pin(name, { size, validator });
    const begin = await bodyOf(answer, AHEAD);
    if (begin === "too long" || begin.length > size)
      throw new FormatError(`${what}: the server sends more than it was asked for`);
    if (begin.length < Math.min(size, AHEAD)) throw cut(begin.length, Math.min(size, AHEAD));
    return { size, begin };
  }

  async #whole(name: string, answer: Answer): Promise<{ size: number; begin: Uint8Array }> {
    const bound = this.#wholeFile;
    const long = (lengthOf(answer) ?? 0) > bound;
    if (long) await answer.discard();
    const begin = long ? "too long" : await bodyOf(answer, bound);
    if (begin === "too long")
      throw new LowrankError(
        "FileError",
        `${this.#called(name)}: the server knows no ranges, and the file is longer than the ${bound} bytes that are read whole; use a server that does, or raise wholeFile`,
      );
    this.#pin(name, { size: begin.length, validator: validatorOf(answer) });
    return { size: begin.length, begin };
  }

  /** Where other origins do not see Content-Range. */
  async #announced(name: string): Promise<number> {
    const answer = await this.#found(name, { method: "HEAD" });
    await answer.discard();
    const size = lengthOf(answer);
    if (size === undefined)
      throw new LowrankError(
        "FileError",
        `${this.#called(name)}: the server does not say how long it is; let it expose Content-Range (Access-Control-Expose-Headers)`,
      );
    return size;
  }

  /** Bytes [from, to). A connection that is cut is taken up where it was. */
  async #range(name: string, from: number, to: number): Promise<Uint8Array> {
    const what = this.#called(name);
    const { size } = this.#pins.get(name)!;
    const out = new Uint8Array(to - from);
    let done = 0;
    const changed = (why: string): FormatError =>
      new FormatError(`${what}: changed on the server while it was read: ${why}; load it again`);
    await patiently(
      what,
      async () => {
        const answer = await this.#found(name, { headers: { range: `bytes=${from + done}-${to - 1}` } });
        const range = rangeOf(answer);
        const wrong =
          answer.status !== 206
            ? `the range is answered by ${answer.status}`
            : range !== undefined && (range.from !== from + done || range.size !== size)
              ? `bytes ${range.from}… of ${range.size} came for ${from + done}… of ${size}`
              : undefined;
        if (wrong !== undefined) {
          await answer.discard();
          throw changed(wrong);
        }
        this.#pin(name, { size, validator: validatorOf(answer) });
        for await (const chunk of answer.chunks()) {
          if (done + chunk.length > out.length) throw changed("more bytes came than were asked for");
          out.set(chunk, done);
          done += chunk.length;
        }
        if (done < out.length) throw cut(done, out.length);
      },
      () => done,
    );
    return out;
  }

  /** Holds a file to what it was when it was first seen. */
  #pin(name: string, now: Pin): void {
    const before = this.#pins.get(name);
    if (before === undefined) this.#pins.set(name, now);
    else if (before.size !== now.size || before.validator !== now.validator)
      throw new FormatError(
        `${this.#called(name)}: changed on the server while it was read: it was ${shown(before)} and is ${shown(now)}; load it again`,
      );
  }
}

function shown({ size, validator }: Pin): string {
  return `${size} bytes${validator === undefined ? "" : ` as of ${validator}`}`;
}

const PAGE =
  "a web page (content-type text/html): there is no such file, or it wants a login first (headers: { authorization: … })";

function isPage(answer: Answer): boolean {
  return answer.status >= 200 && answer.status < 300 && /^text\/html\b/i.test(answer.header("content-type") ?? "");
}

/** A page in the place of a file is what servers of single-page applications answer when there is none. */
async function isThere(answer: Answer, what: string): Promise<boolean> {
  const { status } = answer;
  if (status === 404 || status === 410) return false;
  if (status >= 200 && status < 300) return !isPage(answer);
  await answer.discard();
  throw new LowrankError(
    "FileError",
    `${what}: the server answers ${status}${status === 401 || status === 403 ? "; give it what it wants as headers: { authorization: … }" : ""}`,
  );
}

function validatorOf(answer: Answer): string | undefined {
  return answer.header("etag") ?? answer.header("last-modified") ?? undefined;
}

function rangeOf(answer: Answer): { readonly from: number; readonly size: number } | undefined {
  const [, from, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(answer.header("content-range") ?? "") ?? [];
  return from === undefined ? undefined : { from: Number(from), size: Number(size) };
}

function parseUrl(url: string): InstanceType<typeof web.URL> {
  try {
    return new web.URL(url, web.location?.href);
  } catch (cause) {
    throw new LowrankError("InputError", `http: ${JSON.stringify(url)} is no URL`, { cause });
  }
}
