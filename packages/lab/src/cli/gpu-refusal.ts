/**
 * Why Dawn offers no adapter here, in words that a person can act on. Dawn says it on stderr, in its own terms and with paths of the machine it
 * was built on, and does not name the driver; which drivers there are stands in the Vulkan loader's manifests.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, delimiter, dirname, join, resolve } from "node:path";

/** A Vulkan driver that is installed. */
export interface VulkanDriver {
  /** `llvmpipe`, `radv`, … or the manifest's name. */
  readonly name: string;
  /** `Mesa 22.3.6`, where the library says so. */
  readonly version: string | undefined;
  /** Computes on the CPU: there whether or not the machine has a GPU. */
  readonly software: boolean;
}

/** Manifest names of well-known drivers. */
const NAMES: readonly (readonly [RegExp, string, boolean])[] = [
  [/^lvp_/, "llvmpipe", true],
  [/swiftshader/, "SwiftShader", true],
  [/^radeon_/, "radv", false],
  [/^intel_/, "anv", false],
  [/^nouveau_/, "nvk", false],
  [/^nvidia_/, "NVIDIA", false],
];
/** Where the loader looks on Linux, and the variables that name other files. */
const FOLDERS = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
const VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
/** A driver's library is tens of megabytes; its version stands in its read-only data. */
const LARGEST_LIBRARY = 256 * 2 ** 20;

/** Dawn's stderr as its complaints: one line each, without paths and stack frames. */
export function dawnComplaints(stderr: string): string[] {
  return stderr.split("\n").flatMap((line) => {
    const said = /^(?:Warning|Error): (.*)$/.exec(line.trim())?.[1];
    return said === undefined ? [] : [said];
  });
}

/** One line for `doctor` instead of the general advice; undefined where Dawn said nothing that explains it. */
export function explainRefusal(complaints: readonly string[], drivers: readonly VulkanDriver[]): string | undefined {
  const lacking = complaints
    .map((said) => /^(?:Vulkan )?(.+?) (?:is )?required\.?$/.exec(said)?.[1])
    .find((feature) => feature !== undefined);
  if (lacking !== undefined) {
    const who =
      drivers.length === 0
        ? "the Vulkan driver"
        : drivers.map(({ name, version }) => (version === undefined ? name : `${name}, ${version}`)).join(" or ");
    return `webgpu: ${who}: too old, it lacks ${lacking}; install a newer driver (Debian 12: apt-get install -t bookworm-backports mesa-vulkan-drivers). The \`wasm\` device needs none.`;
  }
  if (complaints.some((said) => /couldn't load vulkan/i.test(said)))
    return "webgpu: no adapter, since there is no Vulkan loader (Debian: apt-get install libvulkan1 mesa-vulkan-drivers). The `wasm` device needs none.";
  return undefined;
}

/** Drivers that the loader finds; hardware ones only where the machine has a GPU. */
export function vulkanDrivers(env: Readonly<Record<string, string | undefined>> = process.env): VulkanDriver[] {
  const named = VARIABLES.flatMap((variable) => env[variable]?.split(delimiter) ?? []).filter(Boolean);
  const manifests =
    named.length > 0
      ? named
      : FOLDERS.flatMap((folder) =>
          existsSync(folder)
            ? readdirSync(folder)
                .filter((file) => file.endsWith(".json"))
                .map((file) => join(folder, file))
            : [],
        );
  const found = manifests.flatMap((manifest) => driverOf(manifest));
  const hardware = existsSync("/dev/dri") || existsSync("/dev/nvidiactl");
  return found.filter(({ software }) => hardware || software);
}

function driverOf(manifest: string): VulkanDriver[] {
  const file = basename(manifest);
  const [, name, software] = NAMES.find(([pattern]) => pattern.test(file)) ?? [
    undefined,
    file.replace(/\.json$/, ""),
    false,
  ];
  try {
    const { ICD } = JSON.parse(readFileSync(manifest, "utf8")) as { ICD?: { library_path?: string } };
    return [{ name, software, version: mesaVersion(resolve(dirname(manifest), ICD?.library_path ?? "")) }];
  } catch {
    // a manifest that cannot be read is no driver
    return [];
  }
}

function mesaVersion(library: string): string | undefined {
  if (!existsSync(library)) return undefined;
  const { size } = statSync(library);
  if (size > LARGEST_LIBRARY) return undefined;
  return /Mesa \d+\.\d+(?:\.\d+)?/.exec(readFileSync(library, "latin1"))?.[0];
}
