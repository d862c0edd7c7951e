import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { dawnComplaints, explainRefusal, vulkanDrivers } from "../src/cli/gpu-refusal.ts";

const OLD_MESA = `Warning: Vulkan shaderUniform*ArrayDynamicIndexing required.
 - While initializing adapter (backend=BackendType::Vulkan)
    at InitializeImpl (/home/somebody/dawn/src/dawn/native/vulkan/PhysicalDeviceVk.cpp:257)
`;
const NO_LOADER = `Warning: Couldn't load Vulkan: libvulkan.so.1: cannot open shared object file: No such file or directory
    at operator() (/home/somebody/dawn/src/dawn/native/vulkan/BackendVk.cpp:368)
`;

describe("doctor", () => {
  it("names the driver that is refused and what it lacks, instead of the advice to install it", () => {
    const folder = mkdtempSync(join(tmpdir(), "lowrank-icd-"));
    writeFileSync(join(folder, "libvulkan_lvp.so"), "\0\0Mesa 22.3.6\0llvmpipe\0");
    writeFileSync(
      join(folder, "lvp_icd.x86_64.json"),
      JSON.stringify({ ICD: { library_path: "./libvulkan_lvp.so", api_version: "1.3.230" } }),
    );
    const drivers = vulkanDrivers({ VK_DRIVER_FILES: join(folder, "lvp_icd.x86_64.json") });
    expect(drivers).toEqual([{ name: "llvmpipe", version: "Mesa 22.3.6", software: true }]);
    const line = explainRefusal(dawnComplaints(OLD_MESA), drivers);
    expect(line).toMatch(
      /^webgpu: llvmpipe, Mesa 22\.3\.6: too old, it lacks shaderUniform\*ArrayDynamicIndexing; install a newer driver/,
    );
    expect(line).not.toContain("/home");
  });

  it("tells a missing loader from a driver that is refused, and says nothing where Dawn said nothing", () => {
    expect(explainRefusal(dawnComplaints(NO_LOADER), [])).toMatch(/no Vulkan loader/);
    expect(explainRefusal(dawnComplaints(""), [])).toBeUndefined();
  });

  it("keeps Dawn's warnings off the screen", () => {
    const cli = fileURLToPath(new URL("../src/cli.ts", import.meta.url));
    const { stdout, stderr, status } = spawnSync(
      process.execPath,
      ["--import", "tsx", "--conditions", "@lowrank/source", cli, "doctor"],
      { encoding: "utf8" },
    );
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(stdout).toMatch(/wasm +works/);
    expect(stdout).toMatch(/webgpu +(works|no) /);
    expect(stdout).not.toMatch(/dawn\/src|\.cpp:/);
  });
});
