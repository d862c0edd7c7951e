/** A script in a page of headless Chromium, from sources, and what it finds out. */
import type { ServerResponse } from "node:http";
import { build } from "esbuild";
import { serve, type Asked } from "../../packages/models/test/web-server.ts";
import { open } from "./chromium.ts";

/**
 * Runs a module that writes into the object `result`, which is returned, with `error` where it threw; `answer` serves what it fetches. Its imports are resolved from
 * `folder`.
 */
export async function runPage(
  browser: string,
  script: { readonly imports: string; readonly body: string; readonly folder: string },
  answer: (asked: Asked, response: ServerResponse) => void,
): Promise<Record<string, unknown>> {
  const contents = `${script.imports}
    const result = {};
    try {
      ${script.body}
    } catch (error) {
      result.error = String(error?.stack ?? error);
    }
    await fetch("/result", { method: "POST", body: JSON.stringify(result) });
  `;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: script.folder, loader: "ts" },
    conditions: ["@lowrank/source"],
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    external: ["webgpu", "node:*"],
    write: false,
    logLevel: "error",
  });
  const server = await serve((asked, response) => {
    const page = {
      "/": ["text/html", '<script type="module" src="/page.js"></script>'],
      "/page.js": ["text/javascript", outputFiles[0]!.text],
    };
    const [type, text] = page[asked.path as keyof typeof page] ?? [];
    if (text === undefined) return answer(asked, response);
    response.writeHead(200, { "content-type": type }).end(text);
  });
  const posted = new Promise<string>((resolve) => {
    server.before = async ({ method, path }, response) => {
      if (method !== "POST" || path !== "/result") return false;
      let text = "";
      for await (const chunk of response.req) text += String(chunk);
      response.end();
      resolve(text);
      return true;
    };
  });
  const close = open(browser, server.url);
  try {
    return JSON.parse(await posted) as Record<string, unknown>;
  } finally {
    await close();
    await server.close();
  }
}
