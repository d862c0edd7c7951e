// B: lowrank reads the checkpoints that forms_theirs.py wrote, and saves each for check_forms.py. usage: forms.mjs PROJECT OUT
import {
  open,
  reporter,
  guarded,
  loadModel,
  inputsOf,
  logitsOf,
  compare,
  figure,
  readTensors,
  readJson,
  TOLERANCE,
  join,
  existsSync,
  short,
} from "./common.mjs";
import { readdirSync } from "node:fs";
const [project, out, only = "."] = process.argv.slice(2);
const lr = await open(project);
const report = reporter(out);
const device = await lr.tensor.init({ device: "wasm", threads: 1 });
const root = join(out, "B", "forms");
for (const name of readdirSync(root).sort()) {
  if (!new RegExp(only).test(name)) continue;
  const here = join(root, name);
  const id = `B/forms/${name}`;
  if (!existsSync(join(here, "case.json"))) continue;
  const info = readJson(join(here, "case.json"));
  await guarded(report, id, async () => {
    if (info.note === "hidden") {
      const { model, report: loaded } = await loadModel(lr, info.folder, device);
      const c = compare(
        await model.forward(await inputsOf(lr, here, device)).lastHiddenState.floats(),
        (await readTensors(lr, join(here, "logits.safetensors"))).get("hidden").data,
      );
      report(
        id,
        c.relative <= TOLERANCE ? "PASS" : "FAIL",
        figure(c),
        short(`fresh ${loaded.fresh}; unused ${loaded.unused}`),
      );
      return model.dispose();
    }
    if (info.heads !== undefined && !existsSync(join(here, "logits.safetensors"))) {
      const { model, report: loaded } = await lr.models.fromPretrained(join(here, "folder"), {
        device,
        task: info.task,
      });
      const odd = loaded.fresh.filter((n) => !info.heads.includes(n));
      report(
        id,
        odd.length === 0 && loaded.unused.length === 0 ? "PASS" : "FAIL",
        `${loaded.fresh.length} fresh`,
        short(`${loaded.fresh}${loaded.unused.length ? `; unused ${loaded.unused}` : ""}`),
      );
      return model.dispose();
    }
    // a bare base whose tied head is in it after all
    const { model, report: loaded } = info.note?.startsWith("bare")
      ? await lr.models.fromPretrained(join(here, "folder"), { device, task: "CAUSAL_LM" })
      : await loadModel(lr, join(here, "folder"), device);
    const inputs = await inputsOf(lr, here, device);
    const c = compare(
      (await logitsOf(model, inputs)).data,
      (await readTensors(lr, join(here, "logits.safetensors"))).get("logits").data,
    );
    let note = [
      info.note,
      loaded.fresh.length ? `fresh ${loaded.fresh}` : "",
      loaded.unused.length ? `unused ${loaded.unused}` : "",
    ]
      .filter(Boolean)
      .join("; ");
    report(id, c.relative <= TOLERANCE && loaded.fresh.length === 0 ? "PASS" : "FAIL", figure(c), short(note));
    // what came in shards goes in shards
    const to = join(out, "A", "forms", name);
    await lr.models.savePretrained(model, to, name.endsWith("-shards") ? { maxShardSize: "80KB" } : {});
    if (info.loss !== null && info.loss !== undefined) {
      await guarded(report, `B/forms-loss/${name}`, async () => {
        const loss = await model.forward(inputs).loss.item();
        const rel = Math.abs(loss - info.loss) / Math.max(1e-9, Math.abs(info.loss));
        report(
          `B/forms-loss/${name}`,
          rel <= 1e-5 ? "PASS" : "FAIL",
          `transformers ${info.loss.toFixed(6)} lowrank ${loss.toFixed(6)}`,
        );
      });
    }
    model.dispose();
  });
}
device.close();
