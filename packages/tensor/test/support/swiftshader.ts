/**
 * A WebGPU device for tests on machines without a GPU: SwiftShader, Google's software Vulkan driver, taken from the
 * npm package @sparticuz/chromium (a headless Chromium for servers) together with a Vulkan loader. Nothing is installed:
 * the two libraries are unpacked into the temporary folder, and Dawn finds them through the environment of this process.
 */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync } from "node:zlib";

const DRIVER = "libvk_swiftshader.so";
const LOADER = "libvulkan.so.1";
const RTLD_NOW = 2;
const RTLD_GLOBAL = 0x100;
/** Keeps a library loaded after dlclose; Node closes whatever is not one of its addons. */
const RTLD_NODELETE = 0x1000;

let prepared: Promise<string | undefined> | undefined;

/**
 * Makes SwiftShader the Vulkan driver of this process, unless the environment names another one already.
 * Must run before Dawn (`import("webgpu")`) looks for adapters. Resolves to undefined, or to the reason why it cannot.
 */
export function swiftShaderAvailable(): Promise<string | undefined> {
  return (prepared ??= Promise.resolve()
    .then(prepare)
    .catch((error: unknown) => `SwiftShader could not be set up: ${String(error)}`));
}

function prepare(): string | undefined {
  const { env, platform, arch } = process;
  // a driver that was chosen from outside (lavapipe, a real GPU) is used as it is
  if ((env["VK_DRIVER_FILES"] ?? env["VK_ICD_FILENAMES"]) !== undefined) return undefined;
  if (platform !== "linux" || arch !== "x64") return `SwiftShader is packed for linux-x64, this is ${platform}-${arch}`;
  const archive = findArchive();
  if (archive === undefined) return "the package @sparticuz/chromium, which carries SwiftShader, is not installed";
  const folder = unpack(archive);
  const icd = join(folder, "icd.json");
  env["VK_DRIVER_FILES"] = icd;
  env["VK_ICD_FILENAMES"] = icd;
  // Dawn warns on stderr without it
  env["XDG_RUNTIME_DIR"] ??= tmpdir();
  if (!loaderInstalled()) keepLoaded(join(folder, LOADER));
  return undefined;
}

function findArchive(): string | undefined {
  try {
    const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
    let folder = dirname(entry.startsWith("file:") ? fileURLToPath(entry) : entry);
    while (!existsSync(join(folder, "bin", "swiftshader.tar.br"))) {
      if (folder === dirname(folder)) return undefined;
      folder = dirname(folder);
    }
    return join(folder, "bin", "swiftshader.tar.br");
  } catch {
    return undefined;
  }
}

/** The folder with the two libraries and a driver manifest; made once per archive, by whoever comes first. */
function unpack(archive: string): string {
  const packed = readFileSync(archive);
  const folder = join(tmpdir(), `lowrank-swiftshader-${packed.length}`);
  if (existsSync(join(folder, "icd.json"))) return folder;
  const files = readTar(brotliDecompressSync(packed));
  const staging = mkdtempSync(`${folder}-`);
  for (const name of [DRIVER, LOADER]) {
    const bytes = files.get(name);
    if (bytes === undefined) throw new Error(`${basename(archive)} holds no ${name}`);
    writeFileSync(join(staging, name), bytes, { mode: 0o755 });
  }
  const manifest = { file_format_version: "1.0.0", ICD: { library_path: join(folder, DRIVER), api_version: "1.1.0" } };
  writeFileSync(join(staging, "icd.json"), JSON.stringify(manifest));
  mkdirSync(dirname(folder), { recursive: true });
  try {
    renameSync(staging, folder);
  } catch (error) {
    // another process was faster; its copy is as good
    rmSync(staging, { recursive: true, force: true });
    if (!existsSync(join(folder, "icd.json"))) throw error;
  }
  return folder;
}

/** Regular files of an uncompressed ustar archive, by name. Headers are 512 bytes: name at 0, octal size at 124, type at 156. */
function readTar(bytes: Buffer): Map<string, Buffer> {
  const files = new Map<string, Buffer>();
  const text = (from: number, length: number): string => bytes.toString("latin1", from, from + length).split("\0")[0]!;
  for (let at = 0; at + 512 <= bytes.length && bytes[at] !== 0;) {
    const size = parseInt(text(at + 124, 12), 8) || 0;
    if (bytes[at + 156] === 0x30 || bytes[at + 156] === 0)
      files.set(text(at, 100), bytes.subarray(at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

/** Whether the system's linker knows a Vulkan loader: its name stands in the linker's cache. */
function loaderInstalled(): boolean {
  const cache = "/etc/ld.so.cache";
  if (!existsSync(cache)) return false;
  const file = openSync(cache, "r");
  try {
    const chunk = Buffer.alloc(1 << 22);
    return chunk.subarray(0, readSync(file, chunk)).includes(LOADER);
  } finally {
    closeSync(file);
  }
}

/** Loads a library for good, so that a later dlopen by its soname finds it. Node then refuses it as an addon, which does not matter. */
function keepLoaded(path: string): void {
  try {
    process.dlopen({ exports: {} }, path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
  } catch (error) {
    if (!String(error).includes("self-register")) throw error;
  }
}
