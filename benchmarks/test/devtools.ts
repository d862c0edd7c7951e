/** Headless Chromium over the pipe of its DevTools protocol: pages that are looked at, in any size and colour scheme. */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly sessionId?: string;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
  readonly params?: Record<string, unknown>;
}

export interface Look {
  readonly width: number;
  readonly height: number;
  readonly scheme: "light" | "dark";
  readonly mobile?: boolean;
}

export class Page {
  /** What the page said on its console, and errors that nobody caught. */
  readonly said: string[] = [];
  readonly #send: (method: string, params?: object) => Promise<Record<string, unknown>>;

  constructor(send: (method: string, params?: object) => Promise<Record<string, unknown>>) {
    this.#send = send;
  }

  async look({ width, height, scheme, mobile = false }: Look): Promise<void> {
    await this.#send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile });
    await this.#send("Emulation.setEmulatedMedia", {
      features: [
        { name: "prefers-color-scheme", value: scheme },
        { name: "prefers-reduced-motion", value: "reduce" },
      ],
    });
  }

  /** Opens the address; the page need not have been drawn yet. */
  async open(url: string): Promise<void> {
    // a new document also where only the part behind # differs
    await this.#send("Page.navigate", { url: "about:blank" });
    await this.#send("Page.navigate", { url });
  }

  /** Value of an expression, promises awaited. */
  async value<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.#send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { result: { value: T }; exceptionDetails?: { text: string; exception?: { description?: string } } };
    if (exceptionDetails !== undefined)
      throw new Error(`${exceptionDetails.text} ${exceptionDetails.exception?.description ?? ""}`);
    return result.value;
  }

  /** Until an expression is true. */
  async until(expression: string, milliseconds = 20_000): Promise<void> {
    const end = Date.now() + milliseconds;
    while (!(await this.value<boolean>(`Boolean(${expression})`).catch(() => false))) {
      if (Date.now() > end) throw new Error(`${expression} does not come true; the page says ${this.said.join("; ")}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** A key that is pressed and let go. */
  async press(key: string): Promise<void> {
    const code = { Tab: 9, Enter: 13, ArrowLeft: 37, ArrowRight: 39 }[key] ?? 0;
    for (const type of ["keyDown", "keyUp"])
      await this.#send("Input.dispatchKeyEvent", {
        type,
        key,
        code: key,
        windowsVirtualKeyCode: code,
        ...(key === "Enter" && type === "keyDown" ? { text: "\r" } : {}),
      });
  }

  /** A browser has six connections for all pages of one server, and those that are live hold one. */
  async close(): Promise<void> {
    await this.#send("Page.close");
  }

  /** What a printer would be given. */
  async pdf(): Promise<Buffer> {
    const { data } = await this.#send("Page.printToPDF", { preferCSSPageSize: true });
    return Buffer.from(String(data), "base64");
  }

  /** PNG of what is seen, or of the whole page. */
  async picture(whole = false): Promise<Buffer> {
    const { data } = await this.#send("Page.captureScreenshot", { format: "png", captureBeyondViewport: whole });
    return Buffer.from(String(data), "base64");
  }
}

export interface Browser {
  page(): Promise<Page>;
  close(): Promise<void>;
}

export async function startBrowser(executable: string): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), "lowrank-chromium-"));
  const child = spawn(
    executable,
    [
      "--headless",
      "--no-sandbox",
      "--no-zygote",
      "--disable-gpu",
      "--remote-debugging-pipe",
      `--user-data-dir=${profile}`,
    ],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], detached: true },
  );
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const [input, output] = [child.stdio[3] as Writable, child.stdio[4] as Readable];
  const waiting = new Map<number, (message: Message) => void>();
  const pages = new Map<string, Page>();
  let [last, rest] = [0, ""];
  input.on("error", () => {});
  output.setEncoding("utf8").on("data", (piece: string) => {
    const parts = (rest + piece).split("\0");
    rest = parts.pop()!;
    for (const part of parts) take(JSON.parse(part) as Message);
  });
  const take = (message: Message): void => {
    if (message.id !== undefined) {
      waiting.get(message.id)?.(message);
      waiting.delete(message.id);
    } else if (
      message.method === "Runtime.exceptionThrown" ||
      message.method === "Log.entryAdded" ||
      message.method === "Runtime.consoleAPICalled"
    )
      pages.get(message.sessionId!)?.said.push(JSON.stringify(message.params));
  };
  const send = (method: string, params: object = {}, sessionId?: string): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const id = ++last;
      waiting.set(id, ({ result, error }) =>
        error === undefined ? resolve(result ?? {}) : reject(new Error(`${method}: ${error.message}`)),
      );
      input.write(`${JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) })}\0`);
    });
  return {
    async page() {
      const { targetId } = await send("Target.createTarget", { url: "about:blank" });
      const { sessionId } = (await send("Target.attachToTarget", { targetId, flatten: true })) as { sessionId: string };
      const page = new Page((method, params) => send(method, params, sessionId));
      pages.set(sessionId, page);
      for (const domain of ["Page", "Runtime", "Log"]) await send(`${domain}.enable`, {}, sessionId);
      return page;
    },
    async close() {
      try {
        process.kill(-child.pid!, "SIGKILL");
      } catch {
        // it is gone
      }
      await exited;
      try {
        rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      } catch {
        // what is left in the temporary folder says nothing about the page
      }
    },
  };
}
