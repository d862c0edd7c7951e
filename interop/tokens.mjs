// Tokenizers of lowrank against Hugging Face's. usage: tokens.mjs PROJECT OUT DATA
import { open, reporter, guarded, readJson, join } from "./common.mjs";
const [project, out, data] = process.argv.slice(2);
const lr = await open(project);
const report = reporter(out);
const root = join(out, "tokens");
const all = readJson(join(root, "expected.json"));
const same = (a, b) => a.length === b.length && a.every((x, i) => x === b[i]);
for (const [name, sets] of Object.entries(all)) {
  await guarded(report, `T/${name}`, async () => {
    const tokenizer = await lr.models.loadTokenizer(join(root, name));
    for (const [set, want] of Object.entries(sets)) {
      const check = (what, expected, make) => {
        let [bad, first, n] = [0, "", 0];
        expected.forEach((w, i) => {
          n++;
          let got;
          try {
            got = make(i);
          } catch (error) {
            got = [`${error.message}`];
          }
          if (typeof w === "string" ? got !== w : !same(got, w)) {
            bad++;
            first ||= `${JSON.stringify(want.texts[i]).slice(0, 60)}: HF ${JSON.stringify(w).slice(0, 70)} lowrank ${JSON.stringify(got).slice(0, 70)}`;
          }
        });
        report(`T/${name}/${set}/${what}`, bad === 0 ? "PASS" : "FAIL", `${n - bad} of ${n} equal`, first);
      };
      check("ids", want.plain, (i) => tokenizer.encode(want.texts[i]).ids);
      check("ids-without-special", want.bare, (i) => tokenizer.encode(want.texts[i], { specialTokens: false }).ids);
      check("cut-to-16", want.cut, (i) => tokenizer.encode(want.texts[i], { maxLength: 16 }).ids);
      check("decode", want.decoded, (i) => tokenizer.decode(want.plain[i], { cleanUpSpaces: want.clean }));
      check("pairs", want.pairs, (i) => tokenizer.encode(want.texts[i], { pair: want.texts[i + 1] }).ids);
      if (want.types)
        check("pair-types", want.types, (i) => tokenizer.encode(want.texts[i], { pair: want.texts[i + 1] }).typeIds);
      check(
        "pairs-cut-to-24",
        want.pairs_cut,
        (i) => tokenizer.encode(want.texts[i], { pair: want.texts[i + 1], maxLength: 24 }).ids,
      );
    }
  });
}
// the lab's own word-by-word tokenizer, which runs use
await guarded(report, "T/lab-word-tokenizer", async () => {
  const { loadWordTokenizer } = await lr.pkg("lab", "data/word-piece.js");
  const words = await loadWordTokenizer(join(data, "bert-base-uncased-tokenizer"));
  for (const [set, want] of Object.entries(all.bert)) {
    let [bad, first] = [0, ""];
    want.bare.forEach((w, i) => {
      const got = words.encode(want.texts[i]);
      if (!same(got, w)) {
        bad++;
        first ||= `${JSON.stringify(want.texts[i]).slice(0, 60)}: HF ${JSON.stringify(w).slice(0, 70)} lowrank ${JSON.stringify(got).slice(0, 70)}`;
      }
    });
    report(
      `T/lab-word-tokenizer/${set}`,
      bad === 0 ? "PASS" : "FAIL",
      `${want.bare.length - bad} of ${want.bare.length} equal`,
      first,
    );
  }
});
