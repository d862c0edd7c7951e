/** What a newcomer can do after the demonstration. */

/** Lines for after the study of that name; none for studies that somebody wrote. */
export function nextSteps(study: string): string[] {
  if (study !== "demo") return [];
  return [
    "",
    "next, with your own data: put train.tsv and dev.tsv (a header line `sentence<TAB>label`, labels 0 and 1) into DATA/sst2-glue, a BERT checkpoint's folder beside them, and",
    "  lowrank run sst2-six --data DATA --base CHECKPOINT --out runs/mine --dry-run    # modules, ranks, memory, time; trains nothing",
    "  lowrank run sst2-six --data DATA --base CHECKPOINT --out runs/mine              # the same six configurations on it",
    "no checkpoint? `lowrank pretrain mlm --help`; other ranks, targets, seeds? `lowrank run demo --set configs.b-fp.r=4 --seeds 1,2,3,4,5`; lowrank is `npx lowrank` where the package is installed, `npm run -s lowrank --` in the repository",
  ];
}
